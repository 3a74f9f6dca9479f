/**
 * Everything that is linked into the simulated kernel, in link order. Importing this file decides every address: a
 * thread that imports something else first has another image, and its CPU refuses to start.
 */
import '#smp/migration';
import './init.ts';
import './module_load.ts';
import './open.ts';
import './fs/namespace.ts';
import './fs/readdir.ts';
import './power.ts';
import './reboot.ts';
import './kvm/kvm_main.ts';
import './kvm/svm.ts';
import './kvm/vmx.ts';
import './torture/scftorture.ts';
import './torture/lkdtm.ts';
import './torture/membench.ts';
import './torture/onoff.ts';
import './torture/ipi.ts';
import './torture/load.ts';
import './torture/vm.ts';
import './torture/provoke_crash.ts';
import './torture/notifier_error_inject.ts';
