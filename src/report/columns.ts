/** Lines in columns, as commit messages draw what several CPUs do: one column a CPU, time downwards. */

export interface ColumnRow {
  readonly column: number;
  readonly indent: number;
  readonly text: string;
  /** Stands behind the text, and goes on the line the text ends on. */
  readonly mark?: string;
}

/** Columns begin at least so far apart where there is room: two of them look as they do in commit messages. */
const COLUMN_WIDTH = 35;
const GAP = 2;
/** Narrower columns hold no expression: the lines get longer then. */
const COLUMN_MIN = 16;
const CONTINUATION = '    ';

function whole({ indent, text, mark }: ColumnRow): string {
  return `${' '.repeat(indent)}${text}${mark === undefined ? '' : ` ${mark}`}`;
}

/**
 * Where each column begins, and the width of the last. Columns take what their lines need, at least COLUMN_WIDTH where there is
 * room; if that is too much for a line, the widest ones give, and their lines are broken.
 */
function widths(heads: readonly string[], rows: readonly ColumnRow[], width: number): number[] {
  const needed = heads.map((head, column) =>
    rows.reduce(
      (most, row) => (row.column === column ? Math.max(most, whole(row).length) : most),
      head.length,
    ),
  );
  const last = needed.length - 1;
  const room = width - GAP * last;
  const share = Math.max(COLUMN_MIN, Math.floor(room / needed.length));
  const wished = needed.map((most, column) =>
    column === last ? most : Math.max(most, Math.min(COLUMN_WIDTH - GAP, share)),
  );
  let over = wished.reduce((sum, each) => sum + each, 0) - room;
  // First what was only for looks, then the widest.
  for (let column = 0; column < last && over > 0; column++) {
    const spare = Math.min(over, wished[column]! - needed[column]!);
    if (spare <= 0) continue;
    wished[column]! -= spare;
    over -= spare;
  }
  for (; over > 0; over--) {
    const widest = wished.indexOf(Math.max(...wished));
    if (wished[widest]! <= COLUMN_MIN) break;
    wished[widest]!--;
  }
  return wished;
}

/** Breaks a text at spaces so that each part fits; a word that is too long is broken anywhere. */
function broken(row: ColumnRow, width: number): string[] {
  const lines: string[] = [];
  // Deep calls in a narrow column: rather too little indented than one word a line.
  const fits = whole(row).length <= width;
  const lead = ' '.repeat(fits ? row.indent : Math.min(row.indent, Math.max(0, width - COLUMN_MIN)));
  let rest = whole({ ...row, indent: 0 });
  let start = lead;
  while (start.length + rest.length > width) {
    const room = Math.max(1, width - start.length);
    const space = rest.lastIndexOf(' ', room);
    const at = space > 0 ? space : room;
    lines.push((start + rest.slice(0, at)).trimEnd());
    rest = rest.slice(at).trimStart();
    start = lead + CONTINUATION;
  }
  return [...lines, start + rest];
}

/** @param paint colours a row's text, which is already as wide as it gets */
export function columnLines(
  heads: readonly string[],
  rows: readonly ColumnRow[],
  width: number,
  paint: (row: ColumnRow, text: string) => string,
): string[] {
  const each = widths(heads, rows, width);
  const starts = each.map((_, column) => each.slice(0, column).reduce((sum, wide) => sum + wide + GAP, 0));
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, column) => part.padEnd(each[column]! + GAP))
      .join('')
      .trimEnd();
  const lines = [line(heads), line(heads.map((head) => '-'.repeat(head.length)))];
  for (const row of rows) {
    for (const part of broken(row, each[row.column]!)) {
      lines.push(' '.repeat(starts[row.column]!) + paint(row, part));
    }
  }
  return lines;
}
