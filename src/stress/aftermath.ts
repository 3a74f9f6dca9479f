/**
 * What follows from an oops: the task that it ends gives nothing back. So much is explained, and no more: as many VMs as tasks with a
 * VM have died, what a task was making when it died, and waits for what such tasks held, or for whoever waits for that.
 */
import type { HungCpu } from '#machine/machine';
import type { FindingRecord } from '#smp/printk';
import type { Complaint } from './state.ts';

/** Entries of an inventory, and how many of each. */
export type Holdings = ReadonlyMap<string, number>;

/** What has one holder at a time: functions that hold it, and that wait for it. */
interface Resource {
  readonly held: readonly string[];
  readonly waits: readonly string[];
}

/** All CPUs at one point: whoever spins keeps the others from it. */
const STOPPED_MACHINE: Resource = {
  held: ['stopmachine', 'do_stop', 'take_cpu_down', '__stop_machine_run'],
  waits: ['stopmachine', 'stop_machine', 'do_stop', '__stop_machine_run', 'stop_machine_run', 'kthread_stop'],
};

/** The one call at a time, and an answer: a CPU in a stopped machine has its interrupts off, and gives none. */
const CROSS_CALL: Resource = {
  held: ['native_smp_call_function_mask', 'smp_call_function_interrupt', 'stopmachine'],
  waits: ['native_smp_call_function_mask', 'smp_call_function_single', 'smp_call_function_mask'],
};

const RESOURCES: readonly Resource[] = [
  CROSS_CALL,
  STOPPED_MACHINE,
  {
    held: ['_cpu_up', '_cpu_down', 'cpu_up', 'cpu_down'],
    waits: ['cpu_up', 'cpu_down', 'register_cpu_notifier', 'unregister_cpu_notifier'],
  },
  // inode_lock
  { held: ['igrab', 'iput'], waits: ['igrab', 'iput'] },
  {
    held: ['sys_init_module', 'sys_delete_module'],
    waits: ['sys_init_module', 'sys_delete_module'],
  },
  {
    held: ['kvm_vcpu_ioctl', 'kvm_vm_ioctl', 'kvm_dev_ioctl', 'vcpu_load', 'kvm_destroy_vm'],
    waits: ['kvm_vcpu_ioctl', 'kvm_vm_ioctl', 'kvm_dev_ioctl', 'vcpu_load', 'kvm_destroy_vm'],
  },
];

/** The innermost function of a stack that waits for one of them, as what it waits for. */
function waitsFor(stack: readonly string[]): Resource | undefined {
  // A task that has lost its CPU, or has to leave it, waits here for another one: while the machine is stopped it gets none.
  if (stack[0] === 'preempt_schedule' || stack[0] === 'set_cpus_allowed') return STOPPED_MACHINE;
  for (const symbol of stack) {
    const resource = RESOURCES.find(({ waits }) => waits.includes(symbol));
    if (resource !== undefined) return resource;
  }
  return undefined;
}

const has = (stack: readonly string[], symbols: readonly string[]): boolean =>
  symbols.some((symbol) => stack.includes(symbol));

/** Of one machine. */
export class Aftermath {
  readonly #dead: (readonly string[])[] = [];
  /** CPUs whose last oops is a documented one. */
  readonly #known = new Set<number>();

  /** @param known where the report is documented */
  add({ kind, cpu, stack }: FindingRecord, known: string | undefined): void {
    if (kind !== 'oops' && kind !== 'bug') return;
    this.#dead.push(stack);
    if (known === undefined) this.#known.delete(cpu);
    else this.#known.add(cpu);
  }

  get oopses(): number {
    return this.#dead.length;
  }

  #count(symbol: string): number {
    return this.#dead.filter((stack) => stack.includes(symbol)).length;
  }

  /** Tasks with a VM that have died. */
  get vms(): number {
    return this.#count('vm_torture_one');
  }

  /** Tasks that have died while they loaded a module or unloaded it. */
  get loads(): number {
    return this.#count('sys_init_module') + this.#count('sys_delete_module');
  }

  /** @param ofVm what a task with a VM has @param ofKvm what KVM has that is loaded */
  explainsLeak({ entry, more = 0, allocatedBy }: Complaint, ofVm: Holdings, ofKvm: Holdings): boolean {
    if (entry === undefined) return false;
    const loaded = this.loads > 0 ? (ofKvm.get(entry) ?? 0) : 0;
    if (more <= this.vms * (ofVm.get(entry) ?? 0) + loaded) return true;
    return allocatedBy !== undefined && this.#count(allocatedBy) >= more;
  }

  /** Each of these waits for what a dead task held, or for another of them that does. */
  explainsHang(cpus: readonly HungCpu[]): boolean {
    const kept = new Set(RESOURCES.filter(({ held }) => this.#dead.some((stack) => has(stack, held))));
    let open = cpus;
    for (let before = -1; open.length !== before;) {
      before = open.length;
      open = open.filter(({ stack }) => {
        const wanted = waitsFor(stack);
        if (wanted === undefined || !kept.has(wanted)) return true;
        for (const one of RESOURCES) if (has(stack, one.held)) kept.add(one);
        if (stack[0] !== 'wait_event') kept.add(STOPPED_MACHINE);
        return false;
      });
    }
    return cpus.length > 0 && open.length === 0;
  }

  /** Its oops was the last one of a CPU that has had a documented one. @param cpu that panicked */
  explainsPanic(cpu: number): boolean {
    return this.#known.has(cpu);
  }
}
