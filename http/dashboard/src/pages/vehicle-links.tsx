// Which meters measure the vehicle: what the window's answer used, the links, and a form to make and end one.

import { useRef, useState } from 'preact/hooks';
import { get, inWords, readOnly, send } from '../lib/api';
import { serverNow } from '../lib/clock';
import { energy, fromInput, number, rfc3339, toInput } from '../lib/format';
import { useLoad } from '../lib/load';
import type { Link, MeterNow, Performance } from '../lib/wire';
import { Empty, Failure, Loading, Panel } from '../parts/states';
import { Ago, Time } from '../parts/time';

interface Found {
  links: Link[];
  meters: Map<string, MeterNow>;
}

const MOST_METERS = 20;

export function Meters({ vehicle, performance, changed }: { vehicle: string; performance: Performance | null; changed: () => void }) {
  const ids = performance?.meters.map((meter) => meter.meterId) ?? [];
  const found = useLoad(`${vehicle} ${ids.join(' ')}`, (abort) => load(vehicle, ids, abort));

  function onChange(): void {
    found.again();
    changed();
  }

  return (
    <Panel title="Meters and links">
      {found.value ? (
        <>
          <MeterTable performance={performance} meters={found.value.meters} />
          <LinkList links={found.value.links} onChange={onChange} />
          <NewLink vehicle={vehicle} onChange={onChange} />
        </>
      ) : found.error ? (
        <Failure what="Meters and links" why={found.error} retry={found.again} />
      ) : (
        <Loading what="meters and links" />
      )}
    </Panel>
  );
}

async function load(vehicle: string, ids: string[], abort: AbortSignal): Promise<Found> {
  const { links } = await get<{ links: Link[] }>(`/v1/links?limit=1000&vehicleId=${encodeURIComponent(vehicle)}`, abort);
  const meters = new Map<string, MeterNow>();
  for (const id of ids.slice(0, MOST_METERS)) {
    const state = await get<MeterNow>(`/v1/meters/${encodeURIComponent(id)}`, abort).catch(() => null);
    if (state) meters.set(id, state);
  }
  return { links, meters };
}

function MeterTable({ performance, meters }: { performance: Performance | null; meters: Map<string, MeterNow> }) {
  if (!performance || performance.meters.length === 0) {
    return <Empty title="No meter measured this vehicle in the window.">{performance?.quality.reason ?? 'Make a link below, or let both publish under the same charge point.'}</Empty>;
  }
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label="Meters">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Meter</th>
            <th scope="col" class="num">AC in the window</th>
            <th scope="col" class="num">Voltage</th>
            <th scope="col">Charge point</th>
            <th scope="col">Last seen</th>
          </tr>
        </thead>
        <tbody>
          {performance.meters.map(({ meterId, kwhConsumedAc }) => {
            const state = meters.get(meterId);
            return (
              <tr key={meterId}>
                <th scope="row" class="id">{meterId}</th>
                <td class="num">{energy(kwhConsumedAc)}</td>
                <td class="num">{state ? `${number(state.voltage, 1)} V` : '–'}</td>
                <td>{state?.chargePoint ?? '–'}</td>
                <td>{state ? <Ago at={state.timestamp} /> : '–'}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function LinkList({ links, onChange }: { links: Link[]; onChange: () => void }) {
  const [problem, setProblem] = useState('');
  if (links.length === 0) return null;

  async function attempt(change: () => Promise<unknown>): Promise<void> {
    setProblem('');
    try {
      await change();
      onChange();
    } catch (error) {
      setProblem(inWords(error));
    }
  }

  return (
    <>
      <h3>Links</h3>
      <ul class="links">
        {links.map((link) => (
          <li key={link.id}>
            <span>
              <span class="id">{link.meterId}</span> from <Time at={link.validFrom} />{' '}
              {link.validTo ? <>to <Time at={link.validTo} /></> : 'on, without end'}
            </span>
            {!readOnly.value && <LinkActions link={link} attempt={attempt} />}
          </li>
        ))}
      </ul>
      {problem && <p class="problem" role="alert">{problem}</p>}
    </>
  );
}

function LinkActions({ link, attempt }: { link: Link; attempt: (change: () => Promise<unknown>) => Promise<void> }) {
  const [isSure, setSure] = useState(false);
  const nowMs = serverNow();
  const isOpen = Date.parse(link.validFrom) < nowMs && (link.validTo === null || Date.parse(link.validTo) > nowMs);
  const name = `the link to ${link.meterId}`;
  return (
    <span class="actions">
      {isOpen && (
        <button type="button" class="button" aria-label={`End ${name} now`} onClick={() => void attempt(() => put({ ...link, validTo: rfc3339(serverNow()) }))}>
          End now
        </button>
      )}
      <button
        type="button"
        class={isSure ? 'button danger' : 'button'}
        aria-label={isSure ? `Really delete ${name}` : `Delete ${name}`}
        title="As if it had never been: past answers change"
        onClick={() => (isSure ? void attempt(() => send('DELETE', `/v1/links/${link.id}`)) : setSure(true))}
        onBlur={() => setSure(false)}
      >
        {isSure ? 'Really delete?' : 'Delete'}
      </button>
    </span>
  );
}

function put({ vehicleId, meterId, validFrom, validTo }: Omit<Link, 'id' | 'createdAt'>): Promise<Link> {
  return send('PUT', '/v1/links', { vehicleId, meterId, validFrom, validTo });
}

function NewLink({ vehicle, onChange }: { vehicle: string; onChange: () => void }) {
  const form = useRef<HTMLFormElement>(null);
  const [said, setSaid] = useState<{ text: string; isProblem: boolean } | null>(null);
  if (readOnly.value) return <p class="dim">Your token may look at links, not change them. Ask for one with the role operate.</p>;

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const fields = new FormData(form.current as HTMLFormElement);
    const meterId = String(fields.get('meter')).trim();
    const to = String(fields.get('to'));
    try {
      await put({ vehicleId: vehicle, meterId, validFrom: rfc3339(fromInput(String(fields.get('from')))), validTo: to ? rfc3339(fromInput(to)) : null });
      setSaid({ text: `Linked to ${meterId}. The figures of this page follow it at once; the fleet’s in some seconds.`, isProblem: false });
      form.current?.reset();
      onChange();
    } catch (error) {
      setSaid({ text: inWords(error), isProblem: true });
    }
  }

  return (
    <>
      <h3>Link a meter to this vehicle</h3>
      <form ref={form} class="inline-form" aria-label="Link a meter" onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>Meter</span>
          <input name="meter" required maxLength={64} pattern="[A-Za-z0-9._:\-]{1,64}" title="1 to 64 of A-Z a-z 0-9 . _ : -" autocomplete="off" spellcheck={false} />
        </label>
        <label class="field">
          <span>From (your time)</span>
          <input name="from" type="datetime-local" required defaultValue={toInput(serverNow())} />
        </label>
        <label class="field">
          <span>To (empty: without end)</span>
          <input name="to" type="datetime-local" />
        </label>
        <button type="submit" class="button primary">Link</button>
      </form>
      {said && <p class={said.isProblem ? 'problem' : 'done'} role={said.isProblem ? 'alert' : 'status'}>{said.text}</p>}
    </>
  );
}
