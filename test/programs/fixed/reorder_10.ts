export { fixed as default } from '../reorder_10.ts';
