export { fixed as default } from '../stack.ts';
