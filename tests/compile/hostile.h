/* What some systems' headers do: common names as macros. A member, parameter or local of such a name
   cannot survive unnoticed. */

/* The socket calls of lwIP, which swallow their arguments here. */
#define accept(...) hostile_macro(
#define bind(...) hostile_macro(
#define close(...) hostile_macro(
#define closesocket(...) hostile_macro(
#define connect(...) hostile_macro(
#define fcntl(...) hostile_macro(
#define freeaddrinfo(...) hostile_macro(
#define getaddrinfo(...) hostile_macro(
#define gethostbyname(...) hostile_macro(
#define getpeername(...) hostile_macro(
#define getsockname(...) hostile_macro(
#define getsockopt(...) hostile_macro(
#define inet_ntop(...) hostile_macro(
#define inet_pton(...) hostile_macro(
#define ioctl(...) hostile_macro(
#define ioctlsocket(...) hostile_macro(
#define listen(...) hostile_macro(
#define poll(...) hostile_macro(
#define read(...) hostile_macro(
#define readv(...) hostile_macro(
#define recv(...) hostile_macro(
#define recvfrom(...) hostile_macro(
#define recvmsg(...) hostile_macro(
#define select(...) hostile_macro(
#define send(...) hostile_macro(
#define sendmsg(...) hostile_macro(
#define sendto(...) hostile_macro(
#define setsockopt(...) hostile_macro(
#define shutdown(...) hostile_macro(
#define socket(...) hostile_macro(
#define write(...) hostile_macro(
#define writev(...) hostile_macro(

/* C libraries, and vendors' toolchains: Arduino, curses, sys/param.h, sys/sysmacros.h. */
#define abs(...) hostile_macro(
#define assert(...) hostile_macro(
#define bit(...) hostile_macro(
#define clear(...) hostile_macro(
#define echo(...) hostile_macro(
#define erase(...) hostile_macro(
#define getc(...) hostile_macro(
#define interrupts(...) hostile_macro(
#define major(...) hostile_macro(
#define makedev(...) hostile_macro(
#define max(...) hostile_macro(
#define min(...) hostile_macro(
#define minor(...) hostile_macro(
#define move(...) hostile_macro(
#define putc(...) hostile_macro(
#define refresh(...) hostile_macro(
#define round(...) hostile_macro(
#define stat(...) hostile_macro(
#define timeout(...) hostile_macro(
#define MAX(...) hostile_macro(
#define MIN(...) hostile_macro(
#define errno (*hostile_macro())
#define h_errno (*hostile_macro())
#define environ (*hostile_macro())
#define stdin hostile macro
#define stdout hostile macro
#define stderr hostile macro
#define linux 1
#define unix 1
#define i386 1
#define arm 1
#define mips 1

/* Windows, and what is written like it: windows.h, rpcndr.h, wingdi.h, winnt.h, winsock2.h. */
#define far hostile macro
#define near hostile macro
#define pascal hostile macro
#define cdecl hostile macro
#define small char
#define hyper hostile macro
#define interface struct
#define IN
#define OUT
#define OPTIONAL
#define VOID void
#define CONST const
#define BOOL int
#define TRUE 1
#define FALSE 0
#define ERROR 0
#define DELETE (0x00010000L)
#define STRICT 1
#define NO_ERROR 0L
#define NO_DATA 11004L
#define IGNORE 0
#define INFINITE 0xFFFFFFFF
#define SendMessage SendMessageA
#define GetObject GetObjectA

/* Embedded vendors (CMSIS, Arduino, AVR) and X11. */
#define __I volatile const
#define __O volatile
#define __IO volatile
#define I (hostile macro)
#define B0 0
#define B1 1
#define F 1
#define PI 3.14159
#define HIGH 1
#define LOW 0
#define INPUT 0
#define OUTPUT 1
#define DEFAULT 1
#define RESET 0
#define SET 1
#define ENABLE 1
#define DISABLE 0
#define SUCCESS 0
#define OK 0
#define FAIL 1
#define Bool int
#define None 0L
#define Status int
#define Success 0
#define Always 2
