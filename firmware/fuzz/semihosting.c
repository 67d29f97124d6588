/* Standard input and output by semihosting, for images that start as the boards here do, without newlib's crt0. */
void initialise_monitor_handles(void);

__attribute__((constructor)) static void open_standard_streams(void) { initialise_monitor_handles(); }
