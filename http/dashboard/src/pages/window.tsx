// The window of time that the vehicle page looks at: the last 24 hours, 7 or 31 days, or one of the viewer's own. In the URL.

import { useRef, useState } from 'preact/hooks';
import { serverNow } from '../lib/clock';
import { fromInput, rfc3339, toInput } from '../lib/format';
import { route, setQuery } from '../lib/route';

const DAY = 86_400_000;
const CHOICES: Record<string, { title: string; days: number }> = {
  '24h': { title: '24 h', days: 1 },
  '7d': { title: '7 d', days: 7 },
  '31d': { title: '31 d', days: 31 },
};
const LONGEST_DAYS = 31;
const FINE_DAYS = 10; // as many as give at most 1,000 quarters of an hour

export interface Chosen {
  key: string;
  /** Whether the window ends now, and moves. */
  isMoving: boolean;
  /** The query of the API, made when it is asked. */
  query: () => string;
  bucket: '15m' | '1h';
}

export function chosenWindow(): Chosen {
  const { query } = route.value;
  const from = query.get('from');
  const to = query.get('to');
  if (from && to) {
    const days = (Date.parse(to) - Date.parse(from)) / DAY;
    const text = `from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`;
    return { key: text, isMoving: false, query: () => text, bucket: days <= FINE_DAYS ? '15m' : '1h' };
  }
  const name = query.get('w') ?? '24h';
  const days = (CHOICES[name] ?? CHOICES['24h'])!.days;
  return {
    key: name,
    isMoving: true,
    query: () => {
      const end = serverNow();
      return `from=${rfc3339(end - days * DAY)}&to=${rfc3339(end)}`;
    },
    bucket: days <= FINE_DAYS ? '15m' : '1h',
  };
}

export function WindowChoice() {
  const { query } = route.value;
  const isCustom = query.has('from');
  const [isOpen, setOpen] = useState(isCustom);
  const current = isCustom ? 'custom' : (query.get('w') ?? '24h');
  return (
    <div class="window-choice">
      <div class="segments" role="group" aria-label="Window">
        {Object.entries(CHOICES).map(([name, { title }]) => (
          <button
            key={name}
            type="button"
            aria-pressed={current === name}
            onClick={() => {
              setOpen(false);
              setQuery({ w: name, from: null, to: null });
            }}
          >
            {title}
          </button>
        ))}
        <button type="button" aria-pressed={current === 'custom'} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Custom
        </button>
      </div>
      {isOpen && <Custom />}
    </div>
  );
}

function Custom() {
  const { query } = route.value;
  const from = useRef<HTMLInputElement>(null);
  const to = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState('');

  function submit(event: Event): void {
    event.preventDefault();
    const start = fromInput(from.current?.value ?? '');
    const end = fromInput(to.current?.value ?? '');
    const said = wrong(start, end);
    setProblem(said);
    if (!said) setQuery({ w: null, from: rfc3339(start), to: rfc3339(end) });
  }

  const end = query.get('to') ? Date.parse(query.get('to') as string) : serverNow();
  const start = query.get('from') ? Date.parse(query.get('from') as string) : end - DAY;
  return (
    <form class="inline-form" onSubmit={submit}>
      <label class="field">
        <span>From (your time)</span>
        <input ref={from} type="datetime-local" required defaultValue={toInput(start)} />
      </label>
      <label class="field">
        <span>To, not included</span>
        <input ref={to} type="datetime-local" required defaultValue={toInput(end)} />
      </label>
      <button type="submit" class="button">Show</button>
      {problem && <p class="problem" role="alert">{problem}</p>}
    </form>
  );
}

function wrong(start: number, end: number): string {
  if (!Number.isFinite(start) || !Number.isFinite(end)) return 'Give both times.';
  if (start >= end) return 'From must be before to.';
  return end - start > LONGEST_DAYS * DAY ? 'A window is at most 31 days long.' : '';
}
