/** Whether the long run was asked for. */
export const isLong = process.env['TWICESHY_FAULTS'] === 'long';
