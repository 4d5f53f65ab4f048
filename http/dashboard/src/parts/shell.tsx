import type { ComponentChildren } from 'preact';
import { readOnly, setToken, token } from '../lib/api';
import { now } from '../lib/clock';
import { age, clockTime, utcTime } from '../lib/format';
import { route } from '../lib/route';
import { alertNews, openAlerts, reload } from '../lib/state';
import { connection, heardAt, restart } from '../lib/stream';
import { ALERT } from '../lib/words';
import { ThemeToggle } from './theme-toggle';

const PAGES = [
  { page: '', title: 'Fleet' },
  { page: 'vehicles', title: 'Vehicles' },
  { page: 'alerts', title: 'Alerts' },
  { page: 'health', title: 'Health' },
];

export function Shell({ children }: { children: ComponentChildren }) {
  const isLive = connection.value.state === 'live';
  return (
    <div class={isLive ? 'shell' : 'shell not-live'}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="topbar">
        <div class="bar">
          <a class="brand" href="#/">
            <Mark /> joulegate
          </a>
          <nav aria-label="Pages">
            {PAGES.map(({ page, title }) => (
              <a key={page} href={`#/${page}`} aria-current={route.value.page === page ? 'page' : undefined}>
                {title}
                {page === 'alerts' && <AlertCount />}
              </a>
            ))}
          </nav>
          <div class="tools">
            <ConnectionChip />
            {readOnly.value && <span class="chip" title="This token may look, not change.">Read only</span>}
            <a class="tool" href="/docs">
              API
            </a>
            <ThemeToggle />
            {token() && (
              <button type="button" class="tool" title="Forget the token of this tab" onClick={forget}>
                Sign out
              </button>
            )}
          </div>
        </div>
      </header>
      <NotLive />
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <p class="unseen" role="log" aria-label="News">
        {news()}
      </p>
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault(); // the hash is the page's
  document.getElementById('main')?.focus();
}

function forget(): void {
  setToken(null);
  location.reload();
}

function news(): string {
  return alertNews.value.opened.map((alert) => `New alert: ${ALERT[alert.kind].word}, ${alert.device}.`).join(' ');
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
      <path d="M18 3 7 18h7l-1 11 12-16h-8z" fill="currentColor" />
    </svg>
  );
}

function AlertCount() {
  const count = openAlerts.value.value?.length ?? 0;
  return count > 0 ? <span class="count">{count >= 1000 ? '999+' : count}</span> : null;
}

const WORDS = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  'database-down': 'Database down',
  locked: 'Token needed',
};

function ConnectionChip() {
  const { state } = connection.value;
  return (
    <span class={`chip connection ${state}`} role="status" title={state === 'live' ? 'Changes appear as they are stored.' : 'What is shown is not live.'}>
      {WORDS[state]}
    </span>
  );
}

/** Says that what is shown is old, of when it is, and what happens next. Never stale data that looks live. */
function NotLive() {
  const is = connection.value;
  if (is.state === 'live' || is.state === 'locked') return null;
  if (is.state === 'connecting' && heardAt.value === 0) return null;
  now.value; // the countdown
  return (
    <div class={`banner ${is.state}`} role="alert">
      <p>
        <strong>{is.state === 'database-down' ? 'The database is down.' : 'Not live.'}</strong>{' '}
        {is.state === 'database-down'
          ? 'Readings wait at the broker and will be stored; this page goes on by itself when the database is back.'
          : 'The connection to the service was lost; it is taken up again by itself.'}{' '}
        {heardAt.value > 0 && (
          <>
            What is shown is as of <time title={utcTime(heardAt.value)}>{clockTime(heardAt.value)}</time>.{' '}
          </>
        )}
        {is.state === 'reconnecting' && <span aria-hidden="true">Next attempt in {age(is.until - Date.now())}.</span>}
      </p>
      <button type="button" class="button" onClick={is.state === 'database-down' ? reload : restart}>
        Try now
      </button>
    </div>
  );
}
