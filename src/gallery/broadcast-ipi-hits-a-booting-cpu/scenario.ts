import {
  CALL_FUNCTION_VECTOR,
  GFP_KERNEL,
  atomic_read,
  atomic_set,
  call_data,
  call_data_struct,
  call_lock,
  cpu_clear,
  cpu_online_map,
  cpu_possible_map,
  cpu_up,
  cpumask_t,
  cpus_and,
  cpus_copy,
  cpus_equal,
  cpus_weight,
  kernel_function,
  kfree,
  kmalloc,
  scenario,
  send_IPI_mask,
  smp_call_function,
  smp_mb,
  smp_processor_id,
  spin_lock,
  spin_unlock,
  stack_alloc,
  struct,
  u32,
  waitUntil,
} from 'smplab';

const microcode_update = struct('microcode_update', { revision: u32 });

/** Reads what the sender keeps for as long as it waits. */
const apply_microcode = kernel_function('apply_microcode', (info: number): number => {
  return microcode_update.at(info).revision;
});

/** Every other CPU that listens, whether it is in a map or not: the hardware decides, and there is no mask in it. */
function send_IPI_allbutself(): void {
  const allbutself = stack_alloc(cpumask_t);
  cpus_copy(allbutself, cpu_possible_map);
  cpu_clear(smp_processor_id(), allbutself);
  send_IPI_mask(allbutself, CALL_FUNCTION_VECTOR);
}

export default scenario({
  name: 'a broadcast cross call while a CPU boots',
  cpus: 3,
  online: 2,
  races: 'ignore',
  patches: {
    // The kernel's own, with the shorthand as the hardware has it.
    native_smp_call_function_mask(mask: cpumask_t, func: number, info: number, wait: number): number {
      spin_lock(call_lock);
      const allbutself = stack_alloc(cpumask_t);
      cpus_copy(allbutself, cpu_online_map);
      cpu_clear(smp_processor_id(), allbutself);
      const targets = stack_alloc(cpumask_t);
      cpus_and(targets, mask, allbutself);
      const cpus = cpus_weight(targets);
      if (cpus === 0) {
        spin_unlock(call_lock);
        return 0;
      }

      const data = stack_alloc(call_data_struct);
      data.func = func;
      data.info = info;
      data.wait = wait;
      atomic_set(data.started, 0);
      if (wait !== 0) atomic_set(data.finished, 0);
      call_data.value = data.addr;
      smp_mb();

      if (cpus_equal(targets, allbutself)) send_IPI_allbutself();
      else send_IPI_mask(targets, CALL_FUNCTION_VECTOR);

      waitUntil(() => atomic_read(data.started) === cpus);
      if (wait !== 0) waitUntil(() => atomic_read(data.finished) === cpus);
      spin_unlock(call_lock);
      return 0;
    },
  },
  on: [
    function update(): void {
      const info = kmalloc(microcode_update.size, GFP_KERNEL);
      microcode_update.at(info).revision = 2;
      smp_call_function(apply_microcode, info, 0, 1);
      kfree(info);
    },
    function online(): void {
      cpu_up(2);
    },
  ],
});
