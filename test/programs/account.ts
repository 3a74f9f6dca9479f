/**
 * SCTBench "account": a bank account whose books are checked with the wrong arithmetic. It shows when both movements are
 * done before somebody looks.
 */
import { DEFINE, type Scenario, expect, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const [START, IN, OUT] = [10, 4, 3];
const lock = DEFINE('lock', spinlock_t);
const balance = shared('balance', START);
const deposited = shared('deposited');
const withdrawn = shared('withdrawn');

function deposit(): void {
  spin_lock(lock);
  balance.value += IN;
  deposited.value = 1;
  spin_unlock(lock);
}

function withdraw(): void {
  spin_lock(lock);
  balance.value -= OUT;
  withdrawn.value = 1;
  spin_unlock(lock);
}

function account(expected: number): Scenario {
  function audit(): void {
    spin_lock(lock);
    if (deposited.value === 1 && withdrawn.value === 1)
      expect(balance.value === expected, 'the books are wrong');
    spin_unlock(lock);
  }
  return scenario({ on: [audit, deposit, withdraw] });
}

export default account(START - IN - OUT);
export const fixed: Scenario = account(START + IN - OUT);
