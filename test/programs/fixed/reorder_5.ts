export { fixed as default } from '../reorder_5.ts';
