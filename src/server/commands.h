#pragma once
/* The arrays of commands, one for each cmd_*.c file. */

#include "server/command.h"

SCI_PRIVATE sci_command_list sci_transaction_commands(void);
SCI_PRIVATE sci_command_list sci_script_commands(void);
SCI_PRIVATE sci_command_list sci_pubsub_commands(void);
SCI_PRIVATE sci_command_list sci_connection_commands(void);
SCI_PRIVATE sci_command_list sci_hash_commands(void);
SCI_PRIVATE sci_command_list sci_set_commands(void);
SCI_PRIVATE sci_command_list sci_setop_commands(void);
SCI_PRIVATE sci_command_list sci_list_commands(void);
SCI_PRIVATE sci_command_list sci_list_move_commands(void);
SCI_PRIVATE sci_command_list sci_zset_commands(void);
SCI_PRIVATE sci_command_list sci_zset_range_commands(void);
SCI_PRIVATE sci_command_list sci_zset_pop_commands(void);
SCI_PRIVATE sci_command_list sci_zset_algebra_commands(void);
SCI_PRIVATE sci_command_list sci_string_commands(void);
SCI_PRIVATE sci_command_list sci_number_commands(void);
SCI_PRIVATE sci_command_list sci_range_commands(void);
SCI_PRIVATE sci_command_list sci_bit_commands(void);
SCI_PRIVATE sci_command_list sci_keys_commands(void);
SCI_PRIVATE sci_command_list sci_expire_commands(void);
SCI_PRIVATE sci_command_list sci_move_commands(void);
SCI_PRIVATE sci_command_list sci_stream_commands(void);
SCI_PRIVATE sci_command_list sci_server_commands(void);
SCI_PRIVATE sci_command_list sci_config_commands(void);
SCI_PRIVATE sci_command_list sci_info_commands(void);
SCI_PRIVATE sci_command_list sci_command_commands(void);
