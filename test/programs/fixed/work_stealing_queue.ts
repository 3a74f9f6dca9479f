export { fixed as default } from '../work_stealing_queue.ts';
