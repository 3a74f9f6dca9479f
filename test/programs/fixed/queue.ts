export { fixed as default } from '../queue.ts';
