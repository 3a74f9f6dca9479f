export { fixed as default } from '../reorder_4.ts';
