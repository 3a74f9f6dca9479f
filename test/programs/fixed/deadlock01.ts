export { fixed as default } from '../deadlock01.ts';
