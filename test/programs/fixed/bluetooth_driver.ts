export { fixed as default } from '../bluetooth_driver.ts';
