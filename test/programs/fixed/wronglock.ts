export { fixed as default } from '../wronglock.ts';
