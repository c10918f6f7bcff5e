/** Imported before Ink: under CI it writes no frame before the end, which is not what people see. */
process.env['CI'] = 'false';
delete process.env['CONTINUOUS_INTEGRATION'];
