/** Garbage that V8 leaves lying as long as there is room. */
import v8 from 'node:v8';
import vm from 'node:vm';

/** Collects what this thread has left. */
export function collect(): void {
  v8.setFlagsFromString('--expose-gc');
  (vm.runInNewContext('gc') as () => void)();
}
