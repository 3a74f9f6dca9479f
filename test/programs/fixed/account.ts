export { fixed as default } from '../account.ts';
