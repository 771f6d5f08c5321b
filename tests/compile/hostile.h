/* What some systems' headers do (lwIP's sockets.h among them): names of socket calls as macros. The
   arguments are swallowed, so that a member or local of such a name cannot survive unnoticed. */
#define read(...) hostile_macro(
#define write(...) hostile_macro(
#define close(...) hostile_macro(
#define send(...) hostile_macro(
#define recv(...) hostile_macro(
#define connect(...) hostile_macro(
#define bind(...) hostile_macro(
#define listen(...) hostile_macro(
#define accept(...) hostile_macro(
#define select(...) hostile_macro(
#define poll(...) hostile_macro(
#define socket(...) hostile_macro(
#define shutdown(...) hostile_macro(
#define fcntl(...) hostile_macro(
#define ioctl(...) hostile_macro(
