export { fixed as default } from '../twostage.ts';
