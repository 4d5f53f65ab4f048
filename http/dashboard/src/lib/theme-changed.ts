import { signal } from '@preact/signals';

/** Counts the changes of theme: charts paint their colours themselves. */
export const themeChanged = signal(0);

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  themeChanged.value += 1;
});
