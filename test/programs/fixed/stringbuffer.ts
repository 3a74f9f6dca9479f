export { fixed as default } from '../stringbuffer.ts';
