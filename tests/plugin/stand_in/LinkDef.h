#ifdef __CLING__
#pragma link C++ class FairGenerator + ;
#pragma link C++ class FairPrimaryGenerator + ;
#endif
