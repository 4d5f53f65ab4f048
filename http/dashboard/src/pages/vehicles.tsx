import { useEffect, useMemo, useState } from 'preact/hooks';
import { isStale } from '../lib/clock';
import { coverage, number, percent } from '../lib/format';
import { go, route, setQuery } from '../lib/route';
import { loadVehicles, vehicles, vehiclesChanged, vehiclesLoad } from '../lib/state';
import type { Row } from '../lib/state';
import { STATUS } from '../lib/words';
import { Confidence, Presence, StatusBadge } from '../parts/badges';
import { Grid } from '../parts/grid';
import type { Column, Sort } from '../parts/grid';
import { Empty, Failure, Loading } from '../parts/states';
import { Ago } from '../parts/time';

const REORDER_MS = 2000; // values change at once, the order not so often that rows run away from the eye
const ROW_HEIGHT = 36;

const COLUMNS: Column<Row>[] = [
  { key: 'vehicle', title: 'Vehicle', cell: (row) => <a class="id" tabIndex={-1} href={`#/vehicles/${encodeURIComponent(row.vehicleId)}`}>{row.vehicleId}</a> },
  { key: 'place', title: 'Charge point', class: 'c-place', cell: (row) => <span class="dim">{row.chargePoint}</span> },
  { key: 'state', title: 'State', class: 'c-state', cell: (row) => <Presence stale={isStale(row.at)} charging={row.charging} /> },
  { key: 'soc', title: 'SoC', class: 'num c-soc', hint: 'State of charge', cell: (row) => <Soc value={row.soc} /> },
  { key: 'temp', title: 'Battery', class: 'num c-temp', hint: 'Battery temperature', cell: (row) => `${number(row.batteryTemp, 1)} °C` },
  { key: 'ratio', title: 'Efficiency', class: 'num c-ratio', hint: 'DC delivered over AC drawn, last 24 hours', cell: (row) => <span class={`ratio ${row.status}`}>{percent(row.efficiencyRatio)}</span> },
  { key: 'confidence', title: 'Confidence', class: 'c-confidence', hint: 'Pairing and coverage', cell: (row) => <Trust row={row} /> },
  { key: 'status', title: 'Status', class: 'c-status', cell: (row) => <StatusBadge status={row.status} /> },
  { key: 'seen', title: 'Last seen', class: 'num c-seen', hint: 'When its newest reading was measured', cell: (row) => <Ago at={row.at} /> },
];

const ORDERS: Record<string, (a: Row, b: Row) => number> = {
  vehicle: () => 0,
  place: (a, b) => compare(a.chargePoint, b.chargePoint),
  state: (a, b) => stateRank(b) - stateRank(a),
  soc: (a, b) => a.soc - b.soc,
  temp: (a, b) => a.batteryTemp - b.batteryTemp,
  ratio: (a, b) => (a.efficiencyRatio ?? 0) - (b.efficiencyRatio ?? 0),
  confidence: (a, b) => a.coverage - b.coverage,
  status: (a, b) => STATUS_RANK[a.status] - STATUS_RANK[b.status],
  seen: (a, b) => b.at - a.at,
};

const STATUS_RANK = { implausible: 0, degraded: 1, ok: 2, unknown: 3 };

export function VehiclesPage() {
  const load = vehiclesLoad.value;
  useEffect(() => {
    if (vehiclesLoad.value.state === 'idle') void loadVehicles();
  }, []);
  return (
    <>
      <h1 class="unseen">Vehicles</h1>
      {load.state === 'failed' ? (
        <Failure what="The vehicles" why={load.error} retry={() => void loadVehicles()} />
      ) : vehicles.size === 0 && load.state !== 'ready' ? (
        <Loading what="the vehicles" />
      ) : vehicles.size === 0 ? (
        <Empty title="No vehicle has reported yet.">
          Publish to <code>fleet/&lt;charge point&gt;/vehicle</code>, or start a simulated fleet: <code>joulegate simulate</code>.
        </Empty>
      ) : (
        <Table />
      )}
    </>
  );
}

function Table() {
  const { query } = route.value;
  const order = useThrottled(vehiclesChanged.value, REORDER_MS);
  const sort: Sort = { key: (query.get('sort') ?? 'vehicle').replace(/^-/, ''), down: query.get('sort')?.startsWith('-') ?? false };
  const asked = `${query.get('q') ?? ''}|${query.get('status') ?? ''}|${query.get('state') ?? ''}`;
  const rows = useMemo(() => arranged(query, sort), [order, asked, sort.key, sort.down]);
  vehiclesChanged.value; // the rows in sight follow every change
  const shown = rows.map((row) => vehicles.get(row.vehicleId) ?? row);

  function onSort(key: string): void {
    setQuery({ sort: sort.key === key && !sort.down ? `-${key}` : key });
  }

  return (
    <>
      <Filters count={rows.length} />
      {rows.length === 0 ? (
        <Empty title="No vehicle is like that.">
          <button type="button" class="button" onClick={() => setQuery({ q: null, status: null, state: null })}>
            Clear the filters
          </button>
        </Empty>
      ) : (
        <Grid
          label="Vehicles"
          rows={shown}
          columns={COLUMNS}
          id={(row) => row.vehicleId}
          open={(row) => go(`/vehicles/${encodeURIComponent(row.vehicleId)}`)}
          sort={sort}
          onSort={onSort}
          rowHeight={ROW_HEIGHT}
          rowClass={(row) => (isStale(row.at) ? 'is-stale' : '')}
        />
      )}
    </>
  );
}

function Filters({ count }: { count: number }) {
  const { query } = route.value;
  return (
    <form class="filters" role="search" aria-label="Filter vehicles" onSubmit={(event) => event.preventDefault()}>
      <label class="field find">
        <span>Find</span>
        <input type="search" placeholder="Vehicle or charge point" value={query.get('q') ?? ''} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
      </label>
      <label class="field">
        <span>Status</span>
        <select value={query.get('status') ?? ''} onChange={(event) => setQuery({ status: event.currentTarget.value })}>
          <option value="">Any</option>
          {Object.entries(STATUS).map(([status, { word }]) => (
            <option key={status} value={status}>{word}</option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>State</span>
        <select value={query.get('state') ?? ''} onChange={(event) => setQuery({ state: event.currentTarget.value })}>
          <option value="">Any</option>
          <option value="charging">Charging</option>
          <option value="idle">Idle</option>
          <option value="stale">Stale</option>
        </select>
      </label>
      <output class="tally">
        {count === vehicles.size ? `${number(count)} vehicles` : `${number(count)} of ${number(vehicles.size)}`}
        {vehiclesLoad.value.state === 'loading' && ', loading…'}
      </output>
    </form>
  );
}

function Soc({ value }: { value: number }) {
  return (
    <span class="soc">
      <span class="soc-bar" aria-hidden="true"><i class={value < 20 ? 'low' : ''} style={{ width: `${Math.max(0, Math.min(100, value))}%` }} /></span>
      <span class="soc-value">{number(value)} %</span>
    </span>
  );
}

function Trust({ row }: { row: Row }) {
  return (
    <span class="trust">
      <Confidence ratio={row.efficiencyRatio} pairing={row.pairing} covered={row.coverage} />
      <span class="dim">{row.pairing === 'none' ? '–' : `${row.pairing}, ${coverage(row.coverage)}`}</span>
    </span>
  );
}

function arranged(query: URLSearchParams, sort: Sort): Row[] {
  const words = (query.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const status = query.get('status');
  const state = query.get('state');
  const rows = [...vehicles.values()].filter(
    (row) =>
      words.every((word) => row.search.includes(word)) && (!status || row.status === status) && (!state || stateOf(row) === state),
  );
  const order = ORDERS[sort.key] ?? ORDERS['vehicle'];
  const sign = sort.down ? -1 : 1;
  const unknown = (row: Row) => Number(sort.key === 'ratio' && row.efficiencyRatio === null); // last in both directions
  return rows.sort((a, b) => unknown(a) - unknown(b) || sign * ((order as (a: Row, b: Row) => number)(a, b) || compare(a.vehicleId, b.vehicleId)));
}

function stateOf(row: Row): 'stale' | 'charging' | 'idle' {
  if (isStale(row.at)) return 'stale';
  return row.charging ? 'charging' : 'idle';
}

function stateRank(row: Row): number {
  return { charging: 2, idle: 1, stale: 0 }[stateOf(row)];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The value, but changed at most once in so many milliseconds. */
function useThrottled(value: number, every: number): number {
  const [kept, setKept] = useState({ value, at: 0 });
  useEffect(() => {
    if (kept.value === value) return undefined;
    const timer = setTimeout(() => setKept({ value, at: performance.now() }), Math.max(0, kept.at + every - performance.now()));
    return () => clearTimeout(timer);
  }, [value, kept]);
  return kept.value;
}
