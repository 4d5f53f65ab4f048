import { useEffect } from 'preact/hooks';
import { get } from '../lib/api';
import { energy, number, percent, power } from '../lib/format';
import { useLoad } from '../lib/load';
import type { Load } from '../lib/load';
import { vehiclePath } from '../lib/route';
import { fleet, openAlerts, reload } from '../lib/state';
import { connection } from '../lib/stream';
import type { Fleet, Power, Window } from '../lib/wire';
import { ALERT } from '../lib/words';
import { Confidence, StatusBadge } from '../parts/badges';
import { PowerChart } from '../parts/power-chart';
import { Empty, Failure, Figure, Loading, Panel } from '../parts/states';
import { Ago, Time } from '../parts/time';

const POWER_EVERY_MS = 20_000;

type Minute = Power['points'][number];

export function FleetPage() {
  const { value, error } = fleet.value;
  const powers = usePower();
  return (
    <>
      <h1 class="unseen">Fleet</h1>
      {value ? <Now fleet={value} minute={powers.value?.points.at(-1)} /> : error ? <Failure what="The fleet" why={error} retry={reload} /> : <Loading what="the fleet" />}
      <div class="columns">
        <PowerPanel load={powers} />
        <OpenAlerts />
      </div>
      {value && (
        <div class="columns">
          <Distribution fleet={value} />
          <Worst fleet={value} />
        </div>
      )}
    </>
  );
}

function Now({ fleet: { counts, ...of }, minute }: { fleet: Fleet; minute: Minute | undefined }) {
  const devices = counts.vehicles + counts.meters;
  const silent = counts.silentVehicles + counts.silentMeters;
  const open = openAlerts.value.value?.length ?? null;
  const ratio = of.pairedEfficiencyRatio ?? of.efficiencyRatio;
  return (
    <dl class="figures">
      <Figure
        label="Devices online"
        value={number(devices - silent)}
        note={silent > 0 ? `${number(silent)} of ${number(devices)} silent` : `all of ${number(devices)}`}
        tone={silent > 0 ? 'warn' : ''}
      />
      <Figure label="Charging" value={number(counts.charging)} note={`of ${number(counts.vehicles)} vehicles`} />
      <Figure label="Power in, AC" value={power(minute?.acKw)} note={day(of.totalKwhConsumedAc)} />
      <Figure label="Power out, DC" value={power(minute?.dcKw)} note={day(of.totalKwhDeliveredDc)} />
      <Figure
        label="Efficiency, 24 h"
        value={percent(ratio)}
        note={ratio === null ? 'after the first closed quarter' : <Until window={of.window} note={of.note} />}
        tone={ratio !== null && ratio < 0.85 ? 'bad' : ''}
      />
      <Figure
        label="Open alerts"
        value={<a href="#/alerts">{open === null ? '–' : open >= 1000 ? '999+' : number(open)}</a>}
        note={`${number(counts.degraded)} degraded, ${number(counts.implausible)} implausible`}
        tone={open ? 'bad' : ''}
      />
    </dl>
  );
}

function day(kwh: number | null): string {
  return kwh === null ? '24 h are not summed yet' : `${energy(kwh)} in 24 h`;
}

/** Up to what the 24 hours reach: whole quarters of an hour that are summed. */
function Until({ window, note }: { window: Window; note: string | null }) {
  return (
    <span title={note ?? undefined}>
      until <Time at={window.to} short />
    </span>
  );
}

/** The power of the last minutes, asked for again while the page is live; the service computes it once for all viewers. */
function usePower(): Load<Power> {
  const load = useLoad('power', (abort) => get<Power>('/v1/analytics/fleet/power', abort));
  const { again } = load;
  const isLive = connection.value.state === 'live';
  useEffect(() => {
    if (!isLive) return undefined;
    const timer = setInterval(again, POWER_EVERY_MS);
    return () => clearInterval(timer);
  }, [isLive]);
  return load;
}

function PowerPanel({ load: { value, error, again } }: { load: Load<Power> }) {
  const last = value?.points.at(-1);
  const aside = last && (
    <>
      <span class="key ac">AC in</span> <span class="key dc">DC out</span>
    </>
  );
  return (
    <Panel title="Power, by minute" aside={aside} class="wide">
      {value ? (
        value.points.length > 0 ? (
          <PowerChart points={value.points} />
        ) : (
          <Empty title="No energy yet.">The first full minute of readings will show here.</Empty>
        )
      ) : error ? (
        <Failure what="Power" why={error} retry={again} />
      ) : (
        <Loading what="power" />
      )}
    </Panel>
  );
}

function OpenAlerts() {
  const { value, error } = openAlerts.value;
  return (
    <Panel title="Open alerts" aside={<a href="#/alerts">All alerts</a>}>
      {!value && (error ? <Failure what="Alerts" why={error} retry={reload} /> : <Loading what="alerts" />)}
      {value?.length === 0 && <Empty title="No open alerts.">They open by themselves when a vehicle’s efficiency falls or a device falls silent.</Empty>}
      {value && value.length > 0 && (
        <ul class="brief">
          {value.slice(0, 7).map((alert) => (
            <li key={alert.id}>
              <span class={`mark ${alert.kind}`}>{ALERT[alert.kind].word}</span>
              <Device alert={alert} />
              <Ago at={alert.openedAt} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

export function Device({ alert }: { alert: { device: string; deviceKind: string } }) {
  return alert.deviceKind === 'vehicle' ? <a class="id" href={vehiclePath(alert.device)}>{alert.device}</a> : <span class="id">{alert.device}</span>;
}

function Distribution({ fleet: { distribution, counts } }: { fleet: Fleet }) {
  const most = Math.max(1, ...distribution.map((bin) => bin.vehicles));
  return (
    <Panel title="Vehicles by efficiency" aside={`${number(counts.unknown)} without a ratio`}>
      <ol class="bins">
        {distribution.map((bin) => (
          <li key={bin.from} class={bin.from < 0.85 ? 'under' : bin.to === null ? 'over' : ''}>
            <span class="bin-name">{bin.to === null ? 'over 100 %' : `${number(bin.from * 100)}–${number(bin.to * 100)} %`}</span>
            <span class="bin-bar" aria-hidden="true">
              <i style={{ width: `${(100 * bin.vehicles) / most}%` }} />
            </span>
            <span class="bin-count">{number(bin.vehicles)}</span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}

function Worst({ fleet: { worst } }: { fleet: Fleet }) {
  return (
    <Panel title="Least efficient vehicles" class="wide">
      {worst.length === 0 ? (
        <Empty title="No vehicle is judged yet.">One needs 1 kWh of AC and half of its readings in closed quarters of an hour.</Empty>
      ) : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Least efficient vehicles">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Vehicle</th>
                <th scope="col">Status</th>
                <th scope="col" class="num">Ratio</th>
                <th scope="col">Confidence</th>
                <th scope="col" class="num">AC</th>
                <th scope="col" class="num" title="AC times what the ratio leaves: readings that are missing are not counted as lost">Lost, about</th>
              </tr>
            </thead>
            <tbody>
              {worst.map((one) => (
                <tr key={one.vehicleId} title={one.reason}>
                  <th scope="row"><a class="id" href={vehiclePath(one.vehicleId)}>{one.vehicleId}</a></th>
                  <td><StatusBadge status={one.status} /></td>
                  <td class="num">{percent(one.ratio)}</td>
                  <td><Confidence ratio={one.ratio} pairing={one.pairing} covered={one.coverage} /></td>
                  <td class="num">{energy(one.totalKwhConsumedAc)}</td>
                  <td class="num">{energy(one.totalKwhConsumedAc * Math.max(0, 1 - one.ratio))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
