import {
  DEFINE,
  NULL,
  cpu_clear,
  cpu_down,
  cpu_online,
  cpu_online_map,
  get_cpu,
  kernel_function,
  put_cpu,
  raw_smp_processor_id,
  scenario,
} from 'smplab';
import {
  call_single_data,
  csd_lock,
  csd_lock_wait,
  flush_smp_call_function_queue,
  generic_exec_single,
  init_call_single,
} from '../internal/call-single.ts';

const CPUS = 3;

/** One of a device's requests, whose end is told to the CPU that began it. */
const request_csd = DEFINE('request_csd', call_single_data);

const trigger_softirq = kernel_function('trigger_softirq', (): void => {});

/** Does not wait: the descriptor is the caller's again when its lock bit is gone. */
const __smp_call_function_single = kernel_function('__smp_call_function_single', (cpu: number): void => {
  csd_lock(request_csd);
  request_csd.func = trigger_softirq.addr;
  request_csd.info = NULL;
  generic_exec_single(cpu, request_csd, false);
});

export default scenario({
  name: 'a call is on its way to a CPU that goes offline',
  cpus: CPUS,
  races: 'ignore',
  setup(): void {
    init_call_single(CPUS);
  },
  patches: {
    smp_call_function_interrupt: flush_smp_call_function_queue,
    // Of later kernels: interrupts stay off from stop_machine to the end.
    __cpu_disable(): number {
      cpu_clear(raw_smp_processor_id(), cpu_online_map);
      return 0;
    },
  },
  on: [
    function complete_request(): void {
      // With preemption off the CPU stays online. The interrupt is sent; it need not have been taken when this ends.
      get_cpu();
      if (cpu_online(2)) __smp_call_function_single(2);
      put_cpu();
      csd_lock_wait(request_csd);
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
});
