import type { Policy } from '#base/strategy';
export const follow: Policy = { name: 'follow', choose: (_words, choice) => choice.enabled[0]! };
