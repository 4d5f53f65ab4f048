import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api';
import { number } from '../lib/format';
import { useLoad } from '../lib/load';
import { route, setQuery } from '../lib/route';
import { alertNews } from '../lib/state';
import type { Alert, AlertKind } from '../lib/wire';
import { ALERT } from '../lib/words';
import { Empty, Failure, Loading } from '../parts/states';
import { Ago, Time } from '../parts/time';
import { Device } from './fleet';

const PAGE = 200;
const STATES = { open: 'Open', closed: 'Closed', all: 'All' };

interface Page {
  alerts: Alert[];
  nextCursor: string | null;
}

export function AlertsPage() {
  const { query } = route.value;
  const state = (query.get('state') ?? 'open') as keyof typeof STATES;
  const kind = query.get('kind') ?? '';
  const device = query.get('q') ?? '';
  const path = `/v1/alerts?limit=${PAGE}&state=${state}${kind ? `&kind=${encodeURIComponent(kind)}` : ''}`;
  const first = useLoad(path, (abort) => get<Page>(path, abort));
  const more = useMore(path, first.value);
  useEffect(() => {
    if (alertNews.value.opened.length + alertNews.value.closed.length > 0) first.again();
  }, [alertNews.value]);
  const shown = more.alerts.filter((alert) => alert.device.toLowerCase().includes(device.toLowerCase()));
  return (
    <>
      <div class="page-head"><h1>Alerts</h1></div>
      <form class="filters" role="search" aria-label="Filter alerts" onSubmit={(event) => event.preventDefault()}>
        <div class="segments" role="group" aria-label="State">
          {Object.entries(STATES).map(([name, title]) => (
            <button key={name} type="button" aria-pressed={state === name} onClick={() => setQuery({ state: name })}>
              {title}
            </button>
          ))}
        </div>
        <label class="field">
          <span>Kind</span>
          <select value={kind} onChange={(event) => setQuery({ kind: event.currentTarget.value })}>
            <option value="">Any</option>
            {Object.entries(ALERT).map(([name, { word }]) => <option key={name} value={name}>{word}</option>)}
          </select>
        </label>
        <label class="field grow">
          <span>Device</span>
          <input type="search" placeholder="Meter or vehicle" value={device} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        </label>
        <output class="tally">{first.value ? `${number(shown.length)}${more.cursor ? '+' : ''} alerts` : ''}</output>
      </form>
      {first.value ? (
        shown.length > 0 ? <AlertTable alerts={shown} /> : <None state={state} filtered={Boolean(kind || device)} />
      ) : first.error ? (
        <Failure what="Alerts" why={first.error} retry={first.again} />
      ) : (
        <Loading what="alerts" />
      )}
      {more.cursor && (
        <button type="button" class="button" disabled={more.isLoading} onClick={more.next}>
          {more.isLoading ? 'Loading…' : 'Show older ones'}
        </button>
      )}
      {more.error && <p class="problem" role="alert">{more.error}</p>}
    </>
  );
}

function None({ state, filtered }: { state: keyof typeof STATES; filtered: boolean }) {
  if (filtered) return <Empty title="No alert is like that.">Choose another kind or device.</Empty>;
  if (state === 'open') return <Empty title="No open alerts.">All that is judged is well. Vehicles are judged on closed quarters of an hour, with 1 kWh and half of their readings.</Empty>;
  return <Empty title="No alerts yet.">They are kept here when they close.</Empty>;
}

function AlertTable({ alerts }: { alerts: Alert[] }) {
  const fresh = new Set(alertNews.value.opened.map((alert) => alert.id));
  return (
    <div class="panel scroll-x" tabIndex={0} role="group" aria-label="Alerts">
      <table class="table alerts">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <th scope="col">Device</th>
            <th scope="col">What and why</th>
            <th scope="col">Opened</th>
            <th scope="col">Closed</th>
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id} class={fresh.has(alert.id) ? 'fresh' : ''} data-alert={alert.id}>
              <td><span class={`mark ${alert.kind} ${alert.closedAt ? 'closed' : ''}`}>{ALERT[alert.kind as AlertKind].word}</span></td>
              <th scope="row"><Device alert={alert} /></th>
              <td class="text">{alert.detail}. {!alert.closedAt && <span class="dim">{ALERT[alert.kind].todo}</span>}</td>
              <td><Time at={alert.openedAt} short /> <span class="dim">(<Ago at={alert.openedAt} />)</span></td>
              <td class="text">{alert.closedAt ? <><Time at={alert.closedAt} short /> <span class="dim">{alert.closedBecause}</span></> : 'open'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Further pages after the first, kept while the first is loaded again. */
function useMore(path: string, first: Page | null) {
  const [more, setMore] = useState<{ path: string; page: Page } | null>(null);
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState('');
  const kept = more?.path === path ? more.page : null;
  const cursor = kept ? kept.nextCursor : (first?.nextCursor ?? null);
  const seen = new Set(first?.alerts.map((alert) => alert.id));

  async function next(): Promise<void> {
    setLoading(true);
    setError('');
    try {
      const page = await get<Page>(`${path}&cursor=${cursor}`);
      setMore({ path, page: { alerts: [...(kept?.alerts ?? []), ...page.alerts], nextCursor: page.nextCursor } });
    } catch (reason) {
      setError(reason instanceof Error ? reason.message : String(reason));
    }
    setLoading(false);
  }

  const alerts = [...(first?.alerts ?? []), ...(kept?.alerts ?? []).filter((alert) => !seen.has(alert.id))];
  return { alerts, cursor, isLoading, error, next: () => void next() };
}

