/*
 * hosted_jni.c - hosted.h for Hosted.java.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../hosted.h"

#include <jni.h>

static jstring text_of(JNIEnv *env, const char *wrong) {
  return wrong != NULL ? (*env)->NewStringUTF(env, wrong) : NULL;
}

JNIEXPORT jstring JNICALL Java_Hosted_recover(JNIEnv *env, jclass self, jstring folder, jint times) {
  (void)self;
  const char *path = (*env)->GetStringUTFChars(env, folder, NULL);
  const char *wrong = path != NULL ? hosted_recover(path, times) : "no memory";
  (*env)->ReleaseStringUTFChars(env, folder, path);
  return text_of(env, wrong);
}

JNIEXPORT jstring JNICALL Java_Hosted_recoverInThreads(JNIEnv *env, jclass self, jstring folder, jint threads,
                                                       jint times) {
  (void)self;
  const char *path = (*env)->GetStringUTFChars(env, folder, NULL);
  const char *wrong = path != NULL ? hosted_recover_in_threads(path, threads, times) : "no memory";
  (*env)->ReleaseStringUTFChars(env, folder, path);
  return text_of(env, wrong);
}

JNIEXPORT jstring JNICALL Java_Hosted_takeAccess(JNIEnv *env, jclass self) {
  (void)self;
  return text_of(env, hosted_take_access());
}

JNIEXPORT jstring JNICALL Java_Hosted_violate(JNIEnv *env, jclass self, jstring folder, jint times) {
  (void)self;
  const char *path = (*env)->GetStringUTFChars(env, folder, NULL);
  const char *wrong = path != NULL ? hosted_violate(path, times) : "no memory";
  (*env)->ReleaseStringUTFChars(env, folder, path);
  return text_of(env, wrong);
}

JNIEXPORT jstring JNICALL Java_Hosted_handlerIsOnTop(JNIEnv *env, jclass self, jboolean expected) {
  (void)self;
  return text_of(env, hosted_handler_is_on_top(expected));
}

JNIEXPORT jstring JNICALL Java_Hosted_rearm(JNIEnv *env, jclass self) {
  (void)self;
  return text_of(env, hosted_rearm());
}

JNIEXPORT void JNICALL Java_Hosted_fault(JNIEnv *env, jclass self, jstring folder) {
  (void)self;
  const char *path = (*env)->GetStringUTFChars(env, folder, NULL);
  hosted_fault(path, NULL);
  (*env)->ReleaseStringUTFChars(env, folder, path);
}
