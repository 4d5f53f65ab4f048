// A table of any length: only the rows in sight are in the document. The keyboard moves an active row; Enter opens it.

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface Column<T> {
  key: string;
  title: string;
  hint?: string;
  cell: (row: T) => ComponentChildren;
  class?: string;
}

export interface Sort {
  key: string;
  down: boolean;
}

interface Props<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  open: (row: T) => void;
  sort: Sort;
  onSort: (key: string) => void;
  rowHeight: number;
  rowClass?: (row: T) => string;
}

const OVERSCAN = 8;

export function Grid<T>({ label, rows, columns, id, open, sort, onSort, rowHeight, rowClass }: Props<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [active, setActive] = useState<string | null>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const first = Math.max(0, Math.floor(top / rowHeight) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((top + height) / rowHeight) + OVERSCAN);
  const shown = rows.slice(first, last);
  const activeIndex = active === null ? -1 : rows.findIndex((row) => id(row) === active);
  const activeShown = activeIndex >= first && activeIndex < last;

  useEffect(() => {
    const limit = Math.max(0, rows.length * rowHeight - height);
    if (box.current && box.current.scrollTop > limit) setTop(box.current.scrollTop);
  }, [rows.length]);

  function move(to: number): void {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    const row = rows[index];
    const element = box.current;
    if (row === undefined || !element) return;
    setActive(id(row));
    const head = element.querySelector<HTMLElement>('.grid-head')?.offsetHeight ?? 0;
    const y = index * rowHeight;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + rowHeight > element.scrollTop + element.clientHeight - head) {
      element.scrollTop = y + rowHeight - element.clientHeight + head;
    }
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget) return;
    const page = Math.max(1, Math.floor(height / rowHeight) - 2);
    const from = activeIndex < 0 ? Math.floor(top / rowHeight) - 1 : activeIndex;
    const steps: Record<string, number> = {
      ArrowDown: from + 1,
      ArrowUp: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    } else if (event.key === 'Enter' && activeIndex >= 0) {
      open(rows[activeIndex] as T);
    }
  }

  return (
    <div
      ref={box}
      class="grid"
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={activeShown ? `row-${activeIndex}` : undefined}
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={onKeyDown}
    >
      <div role="rowgroup" class="grid-head">
        <div role="row" class="grid-row" aria-rowindex={1}>
          {columns.map((column) => (
            <div
              key={column.key}
              role="columnheader"
              class={column.class}
              aria-sort={sort.key === column.key ? (sort.down ? 'descending' : 'ascending') : 'none'}
              title={column.hint}
            >
              <button type="button" onClick={() => onSort(column.key)}>
                {column.title}
                <span class="sort-mark" aria-hidden="true">
                  {sort.key === column.key ? (sort.down ? '↓' : '↑') : ''}
                </span>
              </button>
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="grid-body" style={{ height: `${rows.length * rowHeight}px` }}>
        {shown.map((row, offset) => {
          const index = first + offset;
          const key = id(row);
          return (
            <div
              key={key}
              id={`row-${index}`}
              role="row"
              aria-rowindex={index + 2}
              aria-selected={key === active}
              class={`grid-row ${key === active ? 'active' : ''} ${rowClass?.(row) ?? ''}`}
              style={{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }}
              onClick={() => open(row)}
            >
              {columns.map((column) => (
                <div key={column.key} role="gridcell" class={column.class}>
                  {column.cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
