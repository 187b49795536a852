/* A PAM module for tests: says something, and asks for a password and a code in one round. Declares
   what it needs of libpam itself, so that no headers are needed. */

#include <string.h>

struct pam_message { int msg_style; const char *msg; };
struct pam_response { char *resp; int resp_retcode; };
struct pam_conv {
    int (*conv)(int, const struct pam_message **, struct pam_response **, void *);
    void *appdata_ptr;
};

extern int pam_get_item(const void *handle, int item, const void **value);
extern int pam_putenv(void *handle, const char *name_value);

int pam_sm_authenticate(void *handle, int flags, int count, const char **arguments) {
    const struct pam_conv *talk;
    struct pam_message said[3] = {{4, "Your token is blue"}, {1, "Password: "}, {2, "Code: "}};
    const struct pam_message *messages[3] = {&said[0], &said[1], &said[2]};
    struct pam_response *answers = 0;
    if (pam_get_item(handle, 5, (const void **)&talk) != 0) return 4;
    if (talk->conv(3, messages, &answers, talk->appdata_ptr) != 0 || !answers) return 19;
    return strcmp(answers[1].resp, "secret") || strcmp(answers[2].resp, "123456") ? 7 : 0;
}

int pam_sm_setcred(void *handle, int flags, int count, const char **arguments) {
    return pam_putenv(handle, "TOKEN=blue");
}
