// Light or dark: the system's choice until the viewer makes one, which is then kept in this browser.

export type Theme = 'light' | 'dark';

const KEY = 'joulegate.theme';

export function chosenTheme(): Theme | null {
  const kept = attempt(() => localStorage.getItem(KEY));
  return kept === 'light' || kept === 'dark' ? kept : null;
}

export function currentTheme(): Theme {
  return chosenTheme() ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
}

export function chooseTheme(theme: Theme): void {
  attempt(() => localStorage.setItem(KEY, theme));
  applyTheme(theme);
}

export function applyTheme(theme: Theme | null): void {
  if (theme) document.documentElement.dataset['theme'] = theme;
}

/** Storage may be forbidden; then the choice lasts until the page is left. */
function attempt<T>(use: () => T): T | null {
  try {
    return use();
  } catch {
    return null;
  }
}
