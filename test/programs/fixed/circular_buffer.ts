export { fixed as default } from '../circular_buffer.ts';
