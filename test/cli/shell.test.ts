import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { smplab } from './run.ts';

const script = path.join(import.meta.dirname, '../fixtures/shell/every-cpu-off-and-on.sh');

describe('smplab shell: scripts', () => {
  it('a script takes every CPU off and on, pinned to CPU 0, and its status is ours', async () => {
    const { code, stdout, stderr } = await smplab(['shell', '--cpus', '4', script, '-r', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain("'s new affinity mask: 1\n");
    expect(stdout).toContain(
      'online 0-3, offline none, on 2.6.24\nround 1: 3 CPUs\nround 2: 3 CPUs\nleft with 0 failures\n',
    );
  });

  it('--share: a text loads kvm and takes in a script of the host, under its own name', async () => {
    const text = `modprobe kvm-amd && ls ${path.dirname(script)} && . ${script}`;
    const { code, stdout } = await smplab([
      'shell',
      '--share',
      path.dirname(script),
      '--cpus',
      '2',
      '-c',
      text,
    ]);
    expect(stdout).toMatch(/^every-cpu-off-and-on\.sh\n[^]+\nround 1: 1 CPUs\nleft with 0 failures\n$/u);
    expect(code).toBe(0);
  });

  it('with kvm loaded, from standard input, from whatever CPU', async () => {
    const { code, stdout } = await smplab(['shell', '--vendor', 'intel', '--cpus', '3'], {
      stdin: `modprobe kvm-intel || exit 9\npin=0\n${readFileSync(script, 'utf8').replace('pin=1', 'pin=0')}`,
    });
    expect(stdout).toBe('online 0-2, offline none, on 2.6.24\nround 1: 2 CPUs\nleft with 0 failures\n');
    expect(code).toBe(0);
  });
});

describe('smplab shell: a kernel that fails', () => {
  it('an oops kills the process that made the call, appears on the console, and makes exit 1 of 0', async () => {
    const text = [
      'modprobe kvm-amd',
      'vm=$(kvmctl create-vm); vcpu=$(kvmctl create-vcpu $vm)',
      'rmmod kvm_amd; kvmctl close $vcpu; kvmctl close $vm; echo "close: $?"; exit 0',
    ].join('\n');
    // kvm-54 lets its vendor module go under a VM that is open.
    const { code, stdout, stderr } = await smplab(['shell', '--cpus', '2', '-c', text]);
    expect(stdout).toBe('close: 139\n');
    expect(stderr).toContain('BUG: unable to handle kernel NULL pointer dereference');
    expect(stderr).toMatch(/^\[ *\d+\] {2}kvm_arch_vcpu_load$/mu);
    expect(stderr).toContain('Segmentation fault\n');
    expect(code).toBe(1);
  });

  it('a panic ends the script where it is, with a report', async () => {
    const machine = ['--cpus', '2', '--quirk', 'svmdis@1'];
    const ran = await smplab(['shell', ...machine, '-c', 'echo before; modprobe kvm-amd; echo after']);
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 1, stdout: 'before\n' });
    expect(ran.stderr).toContain('Kernel panic - not syncing');
    expect(ran.stderr).toContain('smplab: the machine has stopped\n');
  });

  it('deterministic: a seed is a session, and the step limit is exit 4', async () => {
    const run = async (...more: string[]) =>
      smplab(['shell', '--mode', 'deterministic', '--seed', '5', '--cpus', '2', ...more]);
    const text =
      'modprobe kvm-amd; echo 0 > /sys/devices/system/cpu/cpu1/online; dmesg; cat /proc/interrupts';
    const [one, two] = await Promise.all([run('-c', text), run('-c', text)]);
    expect(one.code).toBe(0);
    expect(two).toEqual(one);
    const limited = await run('--max-steps', '200', '-c', 'echo not reached');
    expect(limited.code).toBe(4);
    expect(limited.stderr).toContain('the step limit was reached');
  });

  it('a call that nobody can ever end ends with who waits for what', async () => {
    // The command's own output keeps the module that it waits for.
    const text = 'modprobe kvm-amd; rmmod -w kvm_amd > /dev/kvm; echo after';
    const ran = await smplab(['shell', '--mode', 'deterministic', '--cpus', '2', '-c', text]);
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 1, stdout: '' });
    expect(ran.stderr).toContain('smplab: the machine hangs; what its CPUs are doing:\nCPU 0:\n');
    expect(ran.stderr).toContain('  sys_delete_module\n');
  });

  it('lkdtm: what is written to DIRECT happens, and is on the console', async () => {
    const text = [
      'mount -t debugfs none /sys/kernel/debug; modprobe lkdtm; cd /sys/kernel/debug/provoke-crash',
      'cat DIRECT | head -3; echo NONSENSE > DIRECT; echo WARNING > DIRECT; echo EXCEPTION > DIRECT; echo $?',
      'rmmod lkdtm; ls /sys/kernel/debug; echo HUNG_TASK > DIRECT; modprobe lkdtm',
      'echo HUNG_TASK > DIRECT; echo not reached',
    ].join('\n');
    const { code, stdout, stderr } = await smplab(['shell', '--cpus', '2', '-c', text]);
    expect(stdout).toBe('Available crash types:\nPANIC\nBUG\n139\n');
    expect(stderr).toContain('echo: write error: Invalid argument\n');
    expect(stderr).toContain('WARNING: at lkdtm_do_action');
    expect(stderr).toContain('NULL pointer dereference at 00000000');
    expect(stderr).toContain('smplab: the machine hangs');
    expect(stderr).toMatch(/wait_event\n {2}lkdtm_do_action\n {2}direct_entry\n/);
    expect(code).toBe(1);
  });

  it('cpu-notifier-error-inject: a CPU may not go or come while the file says so', async () => {
    const text = [
      'mount -t debugfs none /sys/kernel/debug; /sbin/modprobe -q cpu-notifier-error-inject priority=0',
      'cd /sys/kernel/debug/notifier-error-inject/cpu/actions; cpu1=/sys/devices/system/cpu/cpu1/online',
      'echo -12 > CPU_DOWN_PREPARE/error; echo 0 > $cpu1; echo $? $(cat $cpu1 CPU_DOWN_PREPARE/error)',
      'echo 0 > CPU_DOWN_PREPARE/error; echo 0 > $cpu1; echo $?; echo -1 > CPU_UP_PREPARE/error',
      'echo 1 > CPU_UP_PREPARE/error; echo $?; echo 1 > $cpu1; echo $?; dmesg | grep -c "Injecting error"',
      'cd /; modprobe -r cpu-notifier-error-inject; ls /sys/kernel/debug; echo 1 > $cpu1; cat $cpu1',
    ].join('\n');
    const { code, stdout } = await smplab(['shell', '--cpus', '2', '-c', text]);
    expect(stdout).toBe('1 1 -12\n0\n1\n1\n2\n1\n');
    expect(code).toBe(0);
  });

  it('what a script traps runs at its own end, however it is called, and sees its status', async () => {
    const text = [
      "printf '%s\\n' 'trap \"echo inner \\$?\" EXIT; echo in $1; exit $1' > /tmp/inner; chmod +x /tmp/inner",
      "trap 'echo outer $?' EXIT",
      'bash /tmp/inner 3; echo $?; /tmp/inner 4; echo $?; bash /tmp/inner 0 | tr a-z A-Z; bash /tmp/inner 5 || echo failed',
      'set -e; bash /tmp/inner 6; echo not reached',
    ].join('\n');
    const { code, stdout } = await smplab(['shell', '--cpus', '2', '-c', text]);
    const called = [
      'in 3',
      'inner 3',
      '3',
      'in 4',
      'inner 4',
      '4',
      'IN 0',
      'INNER 0',
      'in 5',
      'inner 5',
      'failed',
    ];
    expect(stdout.split('\n')).toEqual([...called, 'in 6', 'inner 6', 'outer 6', '']);
    expect(code).toBe(6);
  });

  it('an injected failure is what the command says', async () => {
    const machine = ['--cpus', '2', '--fault', 'misc_register=EBUSY'];
    const ran = await smplab(['shell', ...machine, '-c', 'modprobe kvm-amd; echo $?']);
    expect(ran.stdout).toBe('1\n');
    expect(ran.stderr).toContain(
      'FATAL: Error inserting kvm_amd (/lib/modules/2.6.24/extra/kvm-amd.ko): Device or resource busy\n',
    );
  });

  it('a script that is not there, and a command line that is wrong: exit 2, one line', async () => {
    for (const args of [['nowhere.sh'], ['--cpus', '0'], ['--share', 'nowhere', '-c', ':']]) {
      const { code, stdout, stderr } = await smplab(['shell', ...args]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/^smplab: [^\n]+\n$/u);
    }
  });
});

describe('smplab shell: what a script finds', () => {
  it('the commands of a first look at KVM, errnos, jobs beside the script, and a guest under hotplug', async () => {
    const text = String.raw`
cat /proc/devices | grep misc; cat /proc/misc
ls /sys/kernel/debug; insmod svm.ko; cd /lib/modules/2.6.24/extra; insmod kvm.ko; insmod svm.ko; lsmod | awk '{ print $1, $3, $4 }'
cat /proc/misc; [ -c /dev/kvm ] && ls -l /dev/kvm | cut -c1-32
ls -d /sys/devices/system/kvm/kvm0; cat /sys/module/kvm/refcnt
mount -t debugfs none /sys/kernel/debug; ls /sys/kernel/debug/kvm | wc -l
mount | grep debugfs; grep -c ^kvm /proc/slabinfo
cpu=/sys/devices/system/cpu
for value in 1 0 x; do echo $value > $cpu/cpu1/online; echo "$value: $?"; done
echo 0 > $cpu/cpu0/online || echo 1 > $cpu/online || mkdir $cpu/x 2> /dev/null || echo refused
vm=$(kvmctl create-vm); one=$(kvmctl create-vcpu $vm 0); kvmctl program $one exit 3 compute 5 halt exit 1
kvmctl run $one; cat /sys/kernel/debug/kvm/exits
echo 1 > $cpu/cpu1/online
work() { for i in 1 2 3; do kvmctl run $one > /dev/null; done; }
for i in 1 2 3; do echo 0 > $cpu/cpu1/online; echo 1 > $cpu/cpu1/online; done &
for i in 1 2 3; do kvmctl run $one > /dev/null; done
wait $!; echo "job: $?"; cat $cpu/online
f=$cpu/cpu1/online; eval 'echo 7 > $f'; echo "eval: $?"
trace start; echo 0 > $f; trace stop; trace show -t store_online | grep -c ' cpu_down(cpu 1)'
taskset -c 1 true; nproc; chcpu -e 1; lscpu | grep Virt; umount /sys/kernel/debug; ls /sys/kernel/debug | wc -l
`;
    const { code, stdout, stderr } = await smplab(['shell', '--cpus', '2', '-c', text]);
    expect(stdout.split('\n')).toEqual([
      ' 10 misc',
      'Module Used by',
      'kvm_amd 0 ',
      'kvm 1 kvm_amd',
      '232 kvm',
      'crw-rw---- 1 root root 10, 232 J',
      '/sys/devices/system/kvm/kvm0',
      '1',
      '25',
      'none on /sys/kernel/debug type debugfs (rw)',
      '4',
      '1: 1',
      '0: 0',
      'x: 1',
      'refused',
      'KVM_EXIT_HLT',
      '4',
      'job: 0',
      '0-1',
      'eval: 1',
      '1',
      '1',
      'CPU 1 enabled',
      'Virtualization:         AMD-V',
      '0',
      '',
    ]);
    expect(stderr).toContain("insmod: error inserting 'svm.ko': -1 Unknown symbol in module\n");
    expect(stderr).toContain('bash: line 9: echo: write error: Invalid argument\n');
    expect(stderr).toContain(
      'bash: line 10: /sys/devices/system/cpu/cpu0/online: No such file or directory\n',
    );
    expect(stderr).toContain('bash: line 10: /sys/devices/system/cpu/online: Permission denied\n');
    expect(stderr).toContain('taskset: Invalid argument\n');
    expect(code).toBe(0);
  });
});
