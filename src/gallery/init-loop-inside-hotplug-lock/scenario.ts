import {
  CPU_DEAD,
  CPU_UP_PREPARE,
  DEFINE,
  DEFINE_PER_CPU,
  GFP_KERNEL,
  NOTIFY_BAD,
  NOTIFY_OK,
  NULL,
  cpu_online,
  cpu_online_map,
  cpu_up,
  first_cpu,
  kernel_function,
  kfree,
  kmalloc,
  lock_cpu_hotplug,
  next_cpu,
  notifier_block,
  per_cpu,
  ptr,
  register_cpu_notifier,
  scenario,
  unlock_cpu_hotplug,
} from 'smplab';

const CPUS = 3;
const BUFFER_BYTES = 64;

/** Each CPU's buffer to copy through. */
const mapping_area = DEFINE_PER_CPU('mapping_area', ptr);
export const zs_cpu_nb = DEFINE('zs_cpu_nb', notifier_block);

function zs_cpu_up(cpu: number): number {
  const area = per_cpu(mapping_area, cpu);
  if (area.value !== NULL) return NOTIFY_OK;
  area.value = kmalloc(BUFFER_BYTES, GFP_KERNEL);
  return area.value === NULL ? NOTIFY_BAD : NOTIFY_OK;
}

/** Gives a CPU its buffer before it comes, and takes it back when it is gone. */
const zs_cpu_notifier = kernel_function(
  'zs_cpu_notifier',
  (_nb: number, action: number, cpu: number): number => {
    if (action === CPU_UP_PREPARE) return zs_cpu_up(cpu);
    if (action === CPU_DEAD) {
      const area = per_cpu(mapping_area, cpu);
      kfree(area.value);
      area.value = NULL;
    }
    return NOTIFY_OK;
  },
);

/** A buffer for each CPU that is online, and the notifier for those that will be. */
export function zs_register_cpu_notifier(): void {
  zs_cpu_nb.notifier_call = zs_cpu_notifier.addr;
  for (let cpu = first_cpu(cpu_online_map); cpu < CPUS; cpu = next_cpu(cpu, cpu_online_map)) zs_cpu_up(cpu);
}

/** As the documentation had it: under the hotplug lock, so that no CPU is missed in between. */
const zs_init = kernel_function('zs_init', (): void => {
  lock_cpu_hotplug();
  zs_register_cpu_notifier();
  register_cpu_notifier(zs_cpu_nb);
  unlock_cpu_hotplug();
});

export default scenario({
  name: 'a subsystem with something for each CPU starts while a CPU comes online',
  cpus: CPUS,
  online: 2,
  races: 'ignore',
  on: [
    function init(): void {
      zs_init();
    },
    function online(): void {
      cpu_up(2);
    },
  ],
  check: () =>
    !cpu_online(2) || per_cpu(mapping_area, 2).value !== NULL || 'CPU 2 is online and has no buffer',
});
