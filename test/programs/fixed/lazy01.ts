export { fixed as default } from '../lazy01.ts';
