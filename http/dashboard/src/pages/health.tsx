import { useEffect, useState } from 'preact/hooks';
import { get, inWords, readOnly, send } from '../lib/api';
import { age, number } from '../lib/format';
import { useLoad } from '../lib/load';
import { route, setQuery } from '../lib/route';
import { gateways, reload } from '../lib/state';
import type { Gateway, Quarantine, QuarantineItem, Replayed } from '../lib/wire';
import { Empty, Failure, Figure, Loading, Panel } from '../parts/states';
import { Ago, Time } from '../parts/time';

export function HealthPage() {
  return (
    <>
      <div class="page-head"><h1>Health of the gateway</h1></div>
      <Gateways />
      <QuarantinePanel />
    </>
  );
}

function Gateways() {
  const { value, error } = gateways.value;
  if (!value) return error ? <Failure what="The gateways" why={error} retry={reload} /> : <Loading what="the gateways" />;
  if (value.length === 0) return <Empty title="No gateway has reported yet.">Start one with <code>joulegate gateway</code>; it reports every five seconds.</Empty>;
  const alive = value.filter((gateway) => gateway.alive);
  const lags = alive.map((gateway) => gateway.lagSeconds).filter((lag) => lag !== null);
  return (
    <>
      <dl class="figures">
        <Figure label="Gateways" value={number(alive.length)} note={alive.length < value.length ? `${value.length - alive.length} not heard of lately` : 'all alive'} tone={alive.length === 0 ? 'bad' : ''} />
        <Figure label="Rate" value={`${number(sum(alive, 'ratePerSecond'), 1)}/s`} note="readings settled" />
        <Figure label="Lag" value={lags.length > 0 ? `${number(Math.max(...lags), 2)} s` : '–'} note="from receipt to commit, at worst" tone={lags.some((lag) => lag > 5) ? 'warn' : ''} />
        <Figure label="Pending" value={number(sum(alive, 'pending'))} note="received, not yet settled" />
        <Figure label="Committed" value={number(sum(value, 'committed'))} note={`${number(sum(value, 'duplicate'))} duplicates`} />
        <Figure label="Quarantined" value={number(sum(value, 'quarantined'))} note="since the start" tone={sum(value, 'quarantined') > 0 ? 'warn' : ''} />
      </dl>
      <Panel title="Gateways">
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Gateways">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Gateway</th>
                <th scope="col">State</th>
                <th scope="col">Host</th>
                <th scope="col">Version</th>
                <th scope="col" class="num">Rate</th>
                <th scope="col" class="num">Lag</th>
                <th scope="col" class="num">Pending</th>
                <th scope="col" class="num">Received</th>
                <th scope="col" class="num">Committed</th>
                <th scope="col" class="num">Duplicate</th>
                <th scope="col" class="num">Quarantined</th>
                <th scope="col">Started</th>
              </tr>
            </thead>
            <tbody>
              {value.map((gateway) => (
                <tr key={gateway.gateway}>
                  <th scope="row" class="id">{gateway.gateway}</th>
                  <td>{gateway.alive ? <span class="presence charging">Alive</span> : <span class="presence stale">Last heard <Ago at={gateway.beatAt} /></span>}</td>
                  <td>{gateway.host}</td>
                  <td>{gateway.version}</td>
                  <td class="num">{number(gateway.ratePerSecond, 1)}/s</td>
                  <td class="num">{gateway.lagSeconds === null ? '–' : `${number(gateway.lagSeconds, 2)} s`}</td>
                  <td class="num">{number(gateway.pending)}</td>
                  <td class="num">{number(gateway.received)}</td>
                  <td class="num">{number(gateway.committed)}</td>
                  <td class="num">{number(gateway.duplicate)}</td>
                  <td class="num">{number(gateway.quarantined)}</td>
                  <td title={`up ${age(Date.now() - Date.parse(gateway.startedAt))}`}><Time at={gateway.startedAt} short /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
    </>
  );
}

type Counter = 'ratePerSecond' | 'pending' | 'committed' | 'duplicate' | 'quarantined';

function sum(of: Gateway[], key: Counter): number {
  return of.reduce((total, gateway) => total + gateway[key], 0);
}

function QuarantinePanel() {
  const reason = route.value.query.get('reason') ?? '';
  const path = `/v1/quarantine?limit=100${reason ? `&reason=${encodeURIComponent(reason)}` : ''}`;
  const load = useLoad(path, (abort) => get<Quarantine>(path, abort));
  const [older, setOlder] = useState<{ path: string; page: Quarantine } | null>(null);
  const [said, setSaid] = useState<{ text: string; isProblem: boolean } | null>(null);
  const quarantined = sum(gateways.value.value ?? [], 'quarantined');
  useEffect(() => {
    if (load.value) load.again();
  }, [quarantined]);
  const more = older?.path === path ? older.page : null;
  const cursor = more ? more.nextCursor : (load.value?.nextCursor ?? null);
  const items = [...(load.value?.items ?? []), ...(more?.items ?? [])];

  async function replay(item: QuarantineItem): Promise<void> {
    try {
      const { outcome, detail } = await send<Replayed>('POST', `/v1/quarantine/${item.id}/replay`);
      const text = {
        committed: `Message ${item.id} was accepted and stored; it has left quarantine.`,
        duplicate: `Message ${item.id} was stored already; it has left quarantine.`,
        quarantined: `Message ${item.id} is still refused: ${detail ?? item.detail}`,
      }[outcome];
      setSaid({ text, isProblem: outcome === 'quarantined' });
      if (older && outcome !== 'quarantined') setOlder({ ...older, page: { ...older.page, items: older.page.items.filter((one) => one.id !== item.id) } });
      load.again();
    } catch (error) {
      setSaid({ text: inWords(error), isProblem: true });
    }
  }

  async function next(): Promise<void> {
    try {
      const page = await get<Quarantine>(`${path}&cursor=${cursor}`);
      setOlder({ path, page: { ...page, items: [...(more?.items ?? []), ...page.items] } });
    } catch (error) {
      setSaid({ text: inWords(error), isProblem: true });
    }
  }

  return (
    <Panel title="Quarantine" aside={load.value && `${number(load.value.totals.reduce((total, one) => total + one.messages, 0))} messages refused`}>
      {said && <p class={said.isProblem ? 'problem' : 'done'} role={said.isProblem ? 'alert' : 'status'}>{said.text}</p>}
      {load.value ? (
        <>
          <Totals totals={load.value.totals} reason={reason} />
          {items.length > 0 ? <Items items={items} replay={replay} /> : <Empty title="Quarantine is empty.">What cannot be accepted is kept here with the reason, and can be replayed once the cause is mended.</Empty>}
          {cursor && <button type="button" class="button" onClick={() => void next()}>Show older ones</button>}
        </>
      ) : load.error ? (
        <Failure what="Quarantine" why={load.error} retry={load.again} />
      ) : (
        <Loading what="quarantine" />
      )}
    </Panel>
  );
}

function Totals({ totals, reason }: { totals: Quarantine['totals']; reason: string }) {
  if (totals.length === 0) return null;
  return (
    <div class="chips" role="group" aria-label="By reason">
      <button type="button" class="chip-button" aria-pressed={reason === ''} onClick={() => setQuery({ reason: null })}>All</button>
      {totals.map((total) => (
        <button
          key={total.reason}
          type="button"
          class="chip-button"
          aria-pressed={reason === total.reason}
          title={`${number(total.rows)} kept, ${number(total.messages)} messages${total.overflowed > 0 ? `, ${number(total.overflowed)} only counted: its space is full` : ''}`}
          onClick={() => setQuery({ reason: total.reason })}
        >
          {total.reason} <b>{number(total.messages)}</b>
          {total.overflowed > 0 && <em> {number(total.overflowed)} only counted</em>}
        </button>
      ))}
    </div>
  );
}

function Items({ items, replay }: { items: QuarantineItem[]; replay: (item: QuarantineItem) => Promise<void> }) {
  return (
    <ul class="quarantine">
      {items.map((item) => (
        <li key={item.id} data-id={item.id}>
          <div class="quarantine-head">
            <span class="mark refused">{item.reason}</span>
            <span class="text">{item.detail}</span>
            {!readOnly.value && (
              <button type="button" class="button" aria-label={`Replay message ${item.id}`} title="Read it again by today’s rules and settings" onClick={() => void replay(item)}>
                Replay
              </button>
            )}
          </div>
          <p class="dim">
            <code>{item.topic}</code>, {item.count > 1 ? `${number(item.count)} times, last` : 'once,'} <Ago at={item.lastSeen} />
          </p>
          <details>
            <summary>Payload{item.payloadTruncated && ' (cut at 8 KiB)'}</summary>
            <pre tabIndex={0}>{item.payload || '(empty)'}</pre>
          </details>
        </li>
      ))}
    </ul>
  );
}
