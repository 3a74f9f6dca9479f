import {
  CPU_DEAD,
  DEFINE,
  NOTIFY_OK,
  READ_ONCE,
  WRITE_ONCE,
  cpu_down,
  kernel_function,
  mutex,
  mutex_lock,
  mutex_unlock,
  notifier_block,
  old_func,
  register_cpu_notifier,
  s32,
  scenario,
  shared,
  struct,
  wait_event,
} from 'smplab';

/** The hotplug lock of 2.6.25 and later: many readers, or one writer that holds the mutex all along. */
const cpu_hotplug = DEFINE('cpu_hotplug', struct('cpu_hotplug', { lock: mutex, refcount: s32 }));

function get_online_cpus(): void {
  mutex_lock(cpu_hotplug.lock);
  cpu_hotplug.refcount += 1;
  mutex_unlock(cpu_hotplug.lock);
}

function put_online_cpus(): void {
  mutex_lock(cpu_hotplug.lock);
  WRITE_ONCE(cpu_hotplug, 'refcount', cpu_hotplug.refcount - 1);
  mutex_unlock(cpu_hotplug.lock);
}

/** No reader is inside, and none comes in until cpu_hotplug_done. */
export function cpu_hotplug_begin(): void {
  for (;;) {
    mutex_lock(cpu_hotplug.lock);
    if (READ_ONCE(cpu_hotplug, 'refcount') === 0) return;
    mutex_unlock(cpu_hotplug.lock);
    wait_event(cpu_hotplug.addr + mutex.size, () => READ_ONCE(cpu_hotplug, 'refcount') === 0);
  }
}

export function cpu_hotplug_done(): void {
  mutex_unlock(cpu_hotplug.lock);
}

/** What was queued on CPU 2 is done. */
const work_done = shared('work_done');

/** A work function that goes over the online CPUs. */
function work(): void {
  get_online_cpus();
  put_online_cpus();
  WRITE_ONCE(work_done, 'value', 1);
}

/** The dead CPU's worker goes as well, when it has nothing left to do. */
export function cleanup_workqueue_thread(): void {
  wait_event(work_done.addr, () => READ_ONCE(work_done, 'value') === 1);
}

const workqueue_nb = DEFINE('workqueue_nb', notifier_block);
const workqueue_cpu_callback = kernel_function(
  'workqueue_cpu_callback',
  (_nb: number, action: number): number => {
    if (action === CPU_DEAD) cleanup_workqueue_thread();
    return NOTIFY_OK;
  },
);

export default scenario({
  name: 'a CPU goes offline with work queued that wants the hotplug lock',
  cpus: 3,
  races: 'ignore',
  setup(): void {
    workqueue_nb.notifier_call = workqueue_cpu_callback.addr;
    register_cpu_notifier(workqueue_nb);
  },
  patches: {
    _cpu_down(cpu: number, tasks_frozen: number): unknown {
      cpu_hotplug_begin();
      const error = old_func('_cpu_down')(cpu, tasks_frozen);
      cpu_hotplug_done();
      return error;
    },
  },
  on: [
    function offline(): void {
      cpu_down(2);
    },
    /** CPU 2's worker. It has left that CPU already: where it sleeps does not matter. */
    function worker(): void {
      work();
    },
  ],
});
