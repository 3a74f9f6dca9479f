/** kvmctl: the ioctls of /dev/kvm, one at a time, for scripts. Descriptors are the numbers it prints. */
import { GFP_KERNEL } from '#kernel/gfp';
import {
  GUEST_LIST,
  GUEST_STEP_COMPUTE,
  GUEST_STEP_END,
  GUEST_STEP_EXIT,
  GUEST_STEP_HALT,
} from '#kernel/kvm/guest';
import {
  KVM_CHECK_EXTENSION,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_EXIT_FAIL_ENTRY,
  KVM_EXIT_HLT,
  KVM_EXIT_INTR,
  KVM_GET_API_VERSION,
  KVM_GET_REGS,
  KVM_RUN,
  KVM_SET_REGS,
  KVM_SET_TSS_ADDR,
  KVM_SET_USER_MEMORY_REGION,
  kvm_regs,
  kvm_run,
} from '#kernel/kvm/kvm_abi';
import { CommandFailure, type Answer, type CommandBody, type CommandCall } from '../command.ts';

const USAGE = `usage: kvmctl version | check CAPABILITY
       kvmctl create-vm                    prints the VM's descriptor
       kvmctl create-vcpu VM [ID]          prints the vCPU's
       kvmctl program VCPU STEP...         compute N, exit N, halt
       kvmctl run VCPU                     until the guest needs user space
       kvmctl regs VCPU
       kvmctl close DESCRIPTOR
`;

const O_RDWR = 2;
/** Two to the power of this: pages of a guest's memory, from guest-physical 0 on. */
const MEMORY_ORDER = 2;
const MEMORY_BYTES = 4096 << MEMORY_ORDER;
/** Guest memory for the steps of one vCPU. */
const STEPS_BYTES = 1024;
const STEP_BYTES = 8;
const TSS_ADDR = 0xfffbd000;
const RSI = 4;
const RDI = 5;

function number(text: string | undefined, what: string): number {
  if (text === undefined || !/^\d+$/.test(text)) throw new CommandFailure(`${what} expected`);
  return Number(text);
}

async function withDevice(call: CommandCall, work: (fd: number) => Promise<number>): Promise<number> {
  const { process } = call.session.caller;
  const fd = await process.open('/dev/kvm', O_RDWR);
  try {
    return await work(fd);
  } finally {
    await process.close(fd);
  }
}

/** A VM with a little memory, and the place that Intel's processors need for real mode. */
async function createVm(call: CommandCall): Promise<number> {
  const { computer, caller } = call.session;
  const { process } = caller;
  const vm = await withDevice(call, (fd) => process.call('sys_ioctl', [fd, KVM_CREATE_VM, 0]));
  await process.call('sys_ioctl', [vm, KVM_SET_TSS_ADDR, TSS_ADDR | 0]);
  const memory = (await process.call('__get_free_pages', [GFP_KERNEL, MEMORY_ORDER])) >>> 0;
  if (memory === 0) throw new CommandFailure('Cannot allocate memory');
  process.poke(memory, Buffer.alloc(MEMORY_BYTES));
  const region = Buffer.alloc(32);
  region.writeBigUInt64LE(BigInt(MEMORY_BYTES), 16);
  region.writeBigUInt64LE(BigInt(memory), 24);
  await process.ioctl(vm, KVM_SET_USER_MEMORY_REGION | 0, region);
  computer.vms.set(vm, memory);
  return vm;
}

async function createVcpu(call: CommandCall, vm: number, id: number): Promise<number> {
  const { computer, caller } = call.session;
  const memory = computer.vms.get(vm);
  const vcpu = await caller.process.call('sys_ioctl', [vm, KVM_CREATE_VCPU, id]);
  const guest = (id * STEPS_BYTES) % MEMORY_BYTES;
  if (memory !== undefined) computer.vcpus.set(vcpu, { guest, address: memory + guest });
  return vcpu;
}

const WORDS: ReadonlyMap<string, number> = new Map([
  ['compute', GUEST_STEP_COMPUTE],
  ['exit', GUEST_STEP_EXIT],
  ['halt', GUEST_STEP_HALT],
]);

function stepsOf(words: readonly string[]): [what: number, times: number][] {
  const steps: [number, number][] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const what = WORDS.get(word);
    if (what === undefined) throw new CommandFailure(`no step is called '${word}': compute N, exit N, halt`);
    const isCounted = /^\d+$/.test(words[at + 1] ?? '');
    if (!isCounted && word !== 'halt') throw new CommandFailure(`${word}: how often?`);
    steps.push([what, isCounted ? Number(words[++at]) : 1]);
  }
  if (steps.length === 0) throw new CommandFailure('no steps');
  if ((steps.length + 1) * STEP_BYTES > STEPS_BYTES) throw new CommandFailure('too many steps');
  return steps;
}

async function program(call: CommandCall, vcpu: number, given: readonly string[]): Promise<void> {
  const { computer, caller } = call.session;
  const place = computer.vcpus.get(vcpu);
  if (place === undefined) throw new CommandFailure(`${vcpu} is no vCPU that kvmctl has made`);
  const steps = [...stepsOf(given), [GUEST_STEP_END, 0] as const];
  const list = Buffer.alloc(steps.length * STEP_BYTES);
  for (const [index, [what, times]] of steps.entries()) {
    list.writeUInt32LE(what, index * STEP_BYTES);
    list.writeUInt32LE(times, index * STEP_BYTES + 4);
  }
  caller.process.poke(place.address, list);
  const { bytes } = await caller.process.ioctl(vcpu, KVM_GET_REGS | 0, Buffer.alloc(kvm_regs.size));
  const words = Buffer.from(bytes);
  words.writeBigUInt64LE(GUEST_LIST | BigInt(place.guest), RSI * 8);
  words.writeBigUInt64LE(0n, RDI * 8);
  await caller.process.ioctl(vcpu, KVM_SET_REGS, words);
}

const REASONS: ReadonlyMap<number, string> = new Map([
  [KVM_EXIT_HLT, 'KVM_EXIT_HLT'],
  [KVM_EXIT_INTR, 'KVM_EXIT_INTR'],
  [KVM_EXIT_FAIL_ENTRY, 'KVM_EXIT_FAIL_ENTRY'],
]);

async function run(call: CommandCall, vcpu: number): Promise<Answer> {
  const { process } = call.session.caller;
  const page = (await process.call('sys_mmap', [vcpu, 0])) >>> 0;
  await process.call('sys_ioctl', [vcpu, KVM_RUN, 0]);
  const shared = Buffer.from(process.peek(page, kvm_run.size));
  const reason = shared.readUInt32LE(kvm_run.offsetof('exit_reason'));
  const hardware = shared.readBigUInt64LE(kvm_run.offsetof('hardware_exit_reason'));
  const detail = reason === KVM_EXIT_FAIL_ENTRY ? ` (hardware reason 0x${hardware.toString(16)})` : '';
  return {
    out: `${REASONS.get(reason) ?? `exit reason ${reason}`}${detail}\n`,
    status: reason === KVM_EXIT_FAIL_ENTRY ? 1 : 0,
  };
}

const NAMES = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split(' ');

async function regs(call: CommandCall, vcpu: number): Promise<Answer> {
  const { bytes } = await call.session.caller.process.ioctl(
    vcpu,
    KVM_GET_REGS | 0,
    Buffer.alloc(kvm_regs.size),
  );
  const words = Buffer.from(bytes);
  const line = (name: string, index: number): string =>
    `${name.padEnd(6)} 0x${words.readBigUInt64LE(index * 8).toString(16)}\n`;
  return { out: NAMES.map(line).join('') };
}

export const kvmctl: CommandBody = async (call) => {
  const [command = '', ...args] = call.args;
  const { process } = call.session.caller;
  switch (command) {
    case 'version': {
      const version = await withDevice(call, (fd) => process.call('sys_ioctl', [fd, KVM_GET_API_VERSION, 0]));
      return { out: `${version}\n` };
    }
    case 'check': {
      const capability = number(args[0], 'a capability');
      const has = await withDevice(call, (fd) =>
        process.call('sys_ioctl', [fd, KVM_CHECK_EXTENSION, capability]),
      );
      return { out: `${has}\n`, status: has > 0 ? 0 : 1 };
    }
    case 'create-vm':
      return { out: `${await createVm(call)}\n` };
    case 'create-vcpu': {
      const vcpu = await createVcpu(call, number(args[0], 'a VM'), number(args[1] ?? '0', 'an id'));
      return { out: `${vcpu}\n` };
    }
    case 'program':
      await program(call, number(args[0], 'a vCPU'), args.slice(1));
      return {};
    case 'run':
      return run(call, number(args[0], 'a vCPU'));
    case 'regs':
      return regs(call, number(args[0], 'a vCPU'));
    case 'close':
      await process.close(number(args[0], 'a descriptor'));
      return {};
    default:
      return { err: USAGE, status: 2 };
  }
};
