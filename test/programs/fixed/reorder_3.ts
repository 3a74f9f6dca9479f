export { fixed as default } from '../reorder_3.ts';
