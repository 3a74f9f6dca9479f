/** trace: starts and stops the recording of kernel functions, and shows it as ftrace or as a call tree. */
import { isKernelFunction, walkSymbols } from '#machine/walk';
import { dmesg } from '#kernel/dmesg';
import { callTree } from '#report/call-tree';
import { ftraceText } from '#report/ftrace';
import type { TraceModel } from '#report/model';
import { CommandFailure, type CommandBody, getopt } from '../command.ts';
import type { ShellSession } from '../shell-session.ts';

const USAGE = `usage: trace start | stop | clear
       trace show [-t] [FUNCTION]          ftrace's function_graph; -t: a call tree; below FUNCTION only
`;

/** TraceMask: functions, and what the hardware does. */
const FUNCTIONS = 1;
const HARDWARE = 4;

function model({ computer }: ShellSession): TraceModel {
  const { machine } = computer;
  const { events, lost } = machine.trace();
  return {
    events,
    lost,
    symbols: walkSymbols,
    cpus: machine.config.possible,
    log: machine.look(dmesg).map(({ seq, cpu, level, text }) => ({ record: seq, cpu, level, text })),
    findings: machine.findings().records,
  };
}

export const trace: CommandBody = ({ args, session }) => {
  const { machine } = session.computer;
  const [command = '', ...rest] = args;
  switch (command) {
    case 'start':
      machine.clearTrace();
      machine.setTraceMask(FUNCTIONS | HARDWARE);
      return {};
    case 'stop':
      machine.setTraceMask(0);
      return {};
    case 'clear':
      machine.clearTrace();
      return {};
    case 'show': {
      const { flags, operands } = getopt(rest, 't');
      const [below] = operands;
      if (below !== undefined && !isKernelFunction(below))
        throw new CommandFailure(`no kernel function is called ${below}`);
      const part = below === undefined ? {} : { below };
      const lines = flags.has('t') ? callTree(model(session), part) : ftraceText(model(session), part);
      return { out: lines.map((line) => `${line}\n`).join('') };
    }
    default:
      return { err: USAGE, status: 2 };
  }
};
