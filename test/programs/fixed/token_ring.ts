export { fixed as default } from '../token_ring.ts';
