export { fixed as default } from '../double_enable.ts';
