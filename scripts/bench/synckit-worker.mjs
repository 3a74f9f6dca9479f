import { runAsWorker } from 'synckit';

runAsWorker(async () => 0);
