// uPlot in a box that resizes, coloured by the theme. Every chart has a sentence for those who cannot see it.

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { localTime, utcTime } from '../lib/format';
import { themeChanged } from '../lib/theme-changed';

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export interface ChartProps {
  label: string;
  height: number;
  data: uPlot.AlignedData;
  /** Without width, height and axes' colours; made anew when `shape` or the theme changes. */
  options: () => Omit<uPlot.Options, 'width' | 'height'>;
  shape: string;
}

export function Chart({ label, height, data, options, shape }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = themeChanged.value;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const width = () => Math.max(200, element.clientWidth);
    const made = new uPlot({ ...options(), width: width(), height }, data, element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: width(), height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, theme, height]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  return <div class="chart" ref={box} role="img" aria-label={label} />;
}

const HOUR = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });

/** A tick of the time axis, in the viewer's zone: the hour, or at midnight the day. */
function tick(seconds: number): string {
  const date = new Date(seconds * 1000);
  return date.getHours() === 0 && date.getMinutes() === 0 ? DAY.format(date) : HOUR.format(date);
}

export function axes(unit: (value: number) => string): uPlot.Axis[] {
  const common = {
    stroke: colour('muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...common, grid: { show: false }, space: 64, size: 26, values: (_: uPlot, splits: number[]) => splits.map(tick) },
    { ...common, size: 58, gap: 6, values: (_: uPlot, splits: number[]) => splits.map(unit) },
  ];
}

/** The first series: the time under the cursor, in the viewer's zone and in UTC. */
export function timeSeries(): uPlot.Series {
  return { label: 'Time', value: (_, seconds) => (seconds === null ? '–' : `${localTime(seconds * 1000)} · ${utcTime(seconds * 1000).slice(11)}`) };
}
