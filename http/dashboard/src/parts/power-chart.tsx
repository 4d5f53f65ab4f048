import { useMemo } from 'preact/hooks';
import type uPlot from 'uplot';
import { power } from '../lib/format';
import type { Power } from '../lib/wire';
import { Chart, axes, colour, timeSeries } from './chart';

/** AC in and DC out by minute; the space between the lines is what was lost. */
export function PowerChart({ points }: { points: Power['points'] }) {
  const data = useMemo<uPlot.AlignedData>(
    () => [points.map((point) => Date.parse(point.from) / 1000), points.map((point) => point.acKw), points.map((point) => point.dcKw)],
    [points],
  );
  const last = points.at(-1);
  const label = last ? `Power of the last ${points.length} minutes. Newest: ${power(last.acKw)} AC in, ${power(last.dcKw)} DC out.` : 'Power';
  return <Chart label={label} height={220} data={data} shape="power" options={options} />;
}

function options(): Omit<uPlot.Options, 'width' | 'height'> {
  const value = (_: uPlot, kw: number | null) => power(kw);
  return {
    legend: { live: true },
    cursor: { points: { size: 6 } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, (most ?? 1) * 1.1)] } },
    axes: axes((kw) => (kw === 0 ? '0 kW' : power(kw))),
    series: [
      timeSeries(),
      { label: 'AC in', stroke: colour('ac'), width: 1.6, value, points: { show: false } },
      { label: 'DC out', stroke: colour('dc'), width: 2, fill: colour('dc-soft'), value, points: { show: false } },
    ],
  };
}
