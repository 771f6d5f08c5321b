#pragma once
/* One temporary folder a test process, gone when the process is, however it ends. */

/* The folder's path; made by the first call, which must come before any thread or fork. Ends the
   process when it cannot be made. */
const char *test_folder(void);
