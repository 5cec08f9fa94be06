"""WSGI and ASGI: conversion of their messages, and the state of a request."""
