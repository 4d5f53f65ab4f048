// Runs before the first paint: a theme that was chosen here beats that of the system.
import { applyTheme, chosenTheme } from './lib/theme';

applyTheme(chosenTheme());
